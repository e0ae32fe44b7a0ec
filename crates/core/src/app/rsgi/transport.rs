//! The stream that `response_stream` returns.

use std::sync::Arc;

use bytes::Bytes;
use granian_proto::Trailers;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::head::for_each_header;
use super::{closed, protocol_error};
use crate::app::awaitable::done;
use crate::app::call::Call;
use crate::app::fields::append_trailer_text;
use crate::app::payload::bytes_of;
use crate::app::room::Room;
use crate::python::enter;
use granian_net::exchange::room::HasRoom;

/// Sends pieces of a body. The body ends when the application returns.
#[pyclass(frozen, module = "granian._granian", name = "RSGIHTTPStreamTransport")]
pub(crate) struct Transport {
    call: Arc<Call>,
}

impl Transport {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self { call }
    }

    fn send<'py>(&self, py: Python<'py>, data: Bytes) -> PyResult<Bound<'py, PyAny>> {
        let _entry = enter();
        self.call
            .data(data, false)
            .map_err(|error| protocol_error(py, &error.to_string()))?;
        // A peer that has only ended its own side still reads.
        if self.call.exchange.is_closed() {
            return closed(py, &self.call);
        }
        if self.call.exchange.has_room() {
            return done(py);
        }
        Room::wait(py, &self.call.exchange, &self.call)
    }
}

#[pymethods]
impl Transport {
    /// `await transport.send_bytes(data)`
    fn send_bytes<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, bytes_of(data)?)
    }

    /// `await transport.send_str(data)`, as UTF-8.
    fn send_str<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = PyBytes::new(py, data.to_str()?.as_bytes());
        self.send(py, bytes_of(bytes.as_any())?)
    }

    /// `transport.add_trailers(headers)`: fields that are sent after the body.
    fn add_trailers(&self, py: Python<'_>, headers: Bound<'_, PyAny>) -> PyResult<()> {
        let mut trailers = Trailers::new();
        for_each_header(Some(&headers), |pair| {
            append_trailer_text(&mut trailers, pair)
        })?;
        self.call
            .add_trailers(&trailers)
            .map_err(|error| protocol_error(py, &error.to_string()))
    }

    /// `await protocol.response_stream(...)` gives the transport too.
    fn __await__(slf: Py<Self>) -> Itself {
        Itself(slf)
    }
}

/// An iterator that ends at once with the transport as its value.
#[pyclass(frozen, module = "granian._granian")]
struct Itself(Py<Transport>);

#[pymethods]
impl Itself {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err((self.0.clone_ref(py),)))
    }
}
