//! `granian._granian`: the server as a Python module. Layers, from the top: `worker` and `options` (the border with
//! Python), `app` (interfaces) and `python` (the event loop). Connections are granian-net's, the rules of HTTP
//! granian-proto's; neither knows Python.

mod app;
mod options;
mod python;
mod worker;

use pyo3::prelude::*;

/// Keeps what large bodies needed from staying with the process. glibc raises the size from which
/// it gives memory straight back with every such block that is freed, up to 32 MiB, and keeps an
/// arena per thread: after five uploads of 16 MiB to a pool of threads 32 MiB stayed.
///
/// Once told so, it no longer raises the size of the heap's end that it keeps either, 128 KiB. The
/// buffers of a turn are more: where they lay at that end, they were given back and faulted in anew
/// turn by turn (`make bench`: wsgi-echo 10.1 µs with 0.8 faults a request, 7.4 without).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn return_large_blocks() {
    // SAFETY: mallopt only sets parameters of the allocator, and locks while it does.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1024 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * 1024 * 1024);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_large_blocks() {}

/// The native half of granian.
#[pymodule(gil_used = false)]
fn _granian(module: &Bound<'_, PyModule>) -> PyResult<()> {
    return_large_blocks();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("BUILD_GIL", cfg!(not(Py_GIL_DISABLED)))?;
    module.add_class::<worker::Worker>()?;
    module.add_function(wrap_pyfunction!(worker::check_tls, module)?)?;
    module.add_function(wrap_pyfunction!(worker::load_tls, module)?)?;
    module.add_class::<worker::LoadedTls>()?;
    module.add_class::<app::asgi::Http>()?;
    module.add_class::<app::asgi::WebSocket>()?;
    module.add_class::<app::rsgi::Http>()?;
    module.add_class::<app::rsgi::Scope>()?;
    module.add_class::<app::rsgi::Headers>()?;
    module.add_class::<app::rsgi::Transport>()?;
    module.add_class::<app::rsgi::WebSocket>()?;
    module.add_class::<app::rsgi::WebSocketTransport>()?;
    module.add_class::<app::rsgi::Message>()?;
    module.add_class::<app::wsgi::Input>()?;
    module.add_class::<app::wsgi::Response>()?;
    module.add_class::<app::wsgi::FileWrapper>()?;
    Ok(())
}
