//! RSGI 1.6: requests to scopes and protocol objects. The specification is docs/spec/RSGI.md.

mod body;
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
use super::host::Host;
use super::runner;
use granian_net::exchange::app::{App, Journal, Request, Source};
use granian_net::runtime::reactor::Reactor;

/// An RSGI application.
pub(crate) struct Rsgi {
    callable: Py<PyAny>,
    host: Arc<Host>,
    reactor: Reactor,
}

impl Rsgi {
    pub(crate) fn new(callable: Bound<'_, PyAny>, host: Arc<Host>, reactor: Reactor) -> Self {
        Self {
            callable: callable.unbind(),
            host,
            reactor,
        }
    }

    fn start(&self, py: Python<'_>, request: Request) {
        let call = Call::new(&request, Arc::clone(&self.host));
        let awaitable = self.call_app(py, request, &call);
        runner::run(py, call, awaitable);
    }

    fn call_app<'py>(
        &self,
        py: Python<'py>,
        request: Request,
        call: &Arc<Call>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let protocol = match request.websocket.clone() {
            None => Bound::new(py, Http::new(Arc::clone(call)))?.into_any(),
            Some(opening) => Bound::new(py, WebSocket::new(Arc::clone(call), opening))?.into_any(),
        };
        let scope = Bound::new(py, Scope::new(request))?;
        self.callable.bind(py).call1((scope, protocol))
    }
}

impl App for Rsgi {
    /// Only within a turn: a task started inside another one's step would run in its context.
    fn may_start(&self) -> bool {
        self.reactor.is_in_turn()
    }

    fn speaks_websocket(&self) -> bool {
        true
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        Python::attach(|py| self.start(py, request));
        None
    }

    fn journal(&self) -> &dyn Journal {
        &*self.host
    }
}

/// `granian.rsgi.ProtocolError`: a call that the protocol's state does not allow.
fn protocol_error(py: Python<'_>, message: &str) -> PyErr {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    exception(py, &TYPE, "ProtocolError", message)
}

/// `granian.rsgi.ProtocolClosed`: the peer is gone.
fn protocol_closed(py: Python<'_>) -> PyErr {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    exception(py, &TYPE, "ProtocolClosed", "RSGI transport is closed")
}

/// The awaitable of a send that nobody receives.
fn closed<'py>(py: Python<'py>, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    Awaitable::start(py, Ready::new(Err(protocol_closed(py)), call))
}

fn exception(py: Python<'_>, cell: &PyOnceLock<Py<PyType>>, name: &str, message: &str) -> PyErr {
    match cell.import(py, "granian.rsgi", name) {
        Ok(exception) => PyErr::from_type(exception.clone(), message.to_owned()),
        Err(_) => PyRuntimeError::new_err(message.to_owned()),
    }
}
