//! ASGI 3: requests to scopes, messages to replies.
//! <https://asgi.readthedocs.io/en/latest/specs/www.html>

mod http;
mod message;
mod scope;
mod ws;
mod ws_message;

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

pub(crate) use self::http::Http;
use self::scope::Scopes;
pub(crate) use self::ws::WebSocket;
use super::call::Call;
use super::host::Host;
use super::runner;
use crate::options::Options;
use granian_net::exchange::app::{App, Journal, Request, Source};
use granian_net::runtime::reactor::Reactor;

/// An ASGI application.
pub(crate) struct Asgi {
    callable: Py<PyAny>,
    scopes: Scopes,
    host: Arc<Host>,
    reactor: Reactor,
}

impl Asgi {
    pub(crate) fn new(
        callable: Bound<'_, PyAny>,
        options: &Options,
        host: Arc<Host>,
        reactor: Reactor,
    ) -> PyResult<Self> {
        let scopes = Scopes::new(callable.py(), options)?;
        Ok(Self {
            callable: callable.unbind(),
            scopes,
            host,
            reactor,
        })
    }

    fn start(&self, py: Python<'_>, request: Request) {
        let call = Call::new(&request, Arc::clone(&self.host));
        let awaitable = self.call_app(py, &request, &call);
        drop(request);
        runner::run(py, call, awaitable);
    }

    fn call_app<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        call: &Arc<Call>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (scope, protocol) = match &request.websocket {
            None => {
                let http = Bound::new(py, Http::new(Arc::clone(call)))?;
                (self.scopes.http(py, request)?, http.into_any())
            }
            Some(opening) => {
                let scope = self.scopes.websocket(py, request, &opening.handshake)?;
                let websocket = WebSocket::new(Arc::clone(call), opening.clone());
                (scope, Bound::new(py, websocket)?.into_any())
            }
        };
        let receive = protocol.getattr(intern!(py, "receive"))?;
        let send = protocol.getattr(intern!(py, "send"))?;
        self.callable.bind(py).call1((scope, receive, send))
    }
}

impl App for Asgi {
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
