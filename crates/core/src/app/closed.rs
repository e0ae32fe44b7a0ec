//! `granian.rsgi.ProtocolClosed`: RSGI raises it when the peer is gone, and `Call` knows it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The peer is gone, or has its whole answer.
pub(crate) fn protocol_closed(py: Python<'_>) -> PyErr {
    let message = "RSGI transport is closed";
    match CLOSED.import(py, "granian.rsgi", "ProtocolClosed") {
        Ok(exception) => PyErr::from_type(exception.clone(), message),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// True for the exception that [`protocol_closed`] makes.
pub(crate) fn is_protocol_closed(py: Python<'_>, error: &PyErr) -> bool {
    CLOSED
        .get(py)
        .is_some_and(|kind| error.is_instance(py, kind.bind(py)))
}

static CLOSED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
