//! `granian._granian`: the server as a Python module. Layers, from the top: `worker` and `options` (the border with
//! Python), `sites` (the threads of connections), `app` (interfaces), `python` and `starts` (the event loop).
//! Connections are granian-net's, the rules of HTTP granian-proto's; neither knows Python.

mod allocator;
mod app;
mod errands;
mod mechanisms;
mod options;
mod python;
mod responders;
mod role;
mod server_log;
mod sites;
mod starts;
mod worker;

use pyo3::prelude::*;

/// The native half of granian.
#[pymodule(gil_used = false)]
fn _granian(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("BUILD_GIL", cfg!(not(Py_GIL_DISABLED)))?;
    module.add_class::<worker::Worker>()?;
    module.add_function(wrap_pyfunction!(
        allocator::set_allocator_parameters,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(app::access_log::is_plain_format, module)?)?;
    module.add_function(wrap_pyfunction!(worker::check_tls, module)?)?;
    module.add_function(wrap_pyfunction!(worker::load_tls, module)?)?;
    module.add_function(wrap_pyfunction!(options::check_pattern, module)?)?;
    module.add_class::<worker::LoadedTls>()?;
    module.add_function(wrap_pyfunction!(options::metrics_layout, module)?)?;
    module.add_class::<app::access_records::Taker>()?;
    module.add_class::<app::asgi::Http>()?;
    module.add_class::<app::asgi::WebSocket>()?;
    module.add_class::<app::in_flight::InFlight>()?;
    module.add_class::<app::rsgi::Http>()?;
    module.add_class::<app::rsgi::Scope>()?;
    module.add_class::<app::rsgi::Headers>()?;
    module.add_class::<app::rsgi::Transport>()?;
    module.add_class::<app::rsgi::WebSocket>()?;
    module.add_class::<app::rsgi::WebSocketTransport>()?;
    module.add_class::<app::rsgi::Message>()?;
    module.add_class::<app::wsgi::Input>()?;
    module.add_class::<app::wsgi::StartResponse>()?;
    module.add_class::<app::wsgi::FileWrapper>()?;
    Ok(())
}
