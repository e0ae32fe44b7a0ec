//! RSGI 1.6: requests to scopes and protocol objects. The specification is docs/spec/RSGI.md.

mod body;
mod head;
mod headers;
mod http;
mod scope;
mod transport;
mod ws;

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

pub(crate) use self::headers::Headers;
pub(crate) use self::http::Http;
pub(crate) use self::scope::Scope;
pub(crate) use self::transport::Transport;
pub(crate) use self::ws::{Message, Transport as WebSocketTransport, WebSocket};
use super::awaitable::{Awaitable, Ready};
use super::call::Call;
use super::closed::protocol_closed;
use super::coroutines::CoroutineInterface;
use super::runner::Again;
use granian_net::exchange::app::Request;

/// RSGI's part of [`Coroutines`](super::coroutines::Coroutines).
pub(crate) struct Rsgi {
    /// The path that the application is mounted on.
    root_path: String,
}

impl Rsgi {
    pub(crate) fn new(root_path: String) -> Self {
        Self { root_path }
    }
}

impl CoroutineInterface for Rsgi {
    fn call<'py>(
        &self,
        callable: &Bound<'py, PyAny>,
        request: Request,
        call: &Arc<Call>,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Again>)> {
        let py = callable.py();
        let protocol = match request.websocket.clone() {
            None => Bound::new(py, Http::new(Arc::clone(call)))?.into_any(),
            Some(opening) => Bound::new(py, WebSocket::new(Arc::clone(call), opening))?.into_any(),
        };
        let scope = Bound::new(py, Scope::new(&request, &self.root_path))?;
        call.calls.note_scope(call.key(), scope.as_any());
        Ok((callable.call1((scope, protocol))?, None))
    }
}

/// `granian.rsgi.ProtocolError`: a call that the protocol's state does not allow.
fn protocol_error(py: Python<'_>, message: &str) -> PyErr {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match TYPE.import(py, "granian.rsgi", "ProtocolError") {
        Ok(exception) => PyErr::from_type(exception.clone(), message.to_owned()),
        Err(_) => PyRuntimeError::new_err(message.to_owned()),
    }
}

/// The awaitable of a send after the client has left.
fn closed<'py>(py: Python<'py>, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    Awaitable::start(py, Ready::new(Err(protocol_closed(py)), call))
}
