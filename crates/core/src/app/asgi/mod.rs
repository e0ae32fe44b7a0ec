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
use self::scope::ScopeTemplate;
pub(crate) use self::ws::WebSocket;
use super::call::Call;
use super::coroutines::CoroutineInterface;
use crate::options::Options;
use granian_net::exchange::app::Request;

/// ASGI's part of [`Coroutines`](super::coroutines::Coroutines).
pub(crate) struct Asgi {
    scope: ScopeTemplate,
}

impl Asgi {
    pub(crate) fn new(py: Python<'_>, options: &Options) -> PyResult<Self> {
        let scope = ScopeTemplate::new(py, options)?;
        Ok(Self { scope })
    }
}

impl CoroutineInterface for Asgi {
    fn call<'py>(
        &self,
        callable: &Bound<'py, PyAny>,
        request: Request,
        call: &Arc<Call>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = callable.py();
        let (scope, protocol) = match &request.websocket {
            None => {
                let http = Bound::new(py, Http::new(Arc::clone(call)))?;
                (self.scope.http(py, &request)?, http.into_any())
            }
            Some(opening) => {
                let scope = self.scope.websocket(py, &request, &opening.handshake)?;
                let websocket = WebSocket::new(Arc::clone(call), opening.clone());
                (scope, Bound::new(py, websocket)?.into_any())
            }
        };
        let receive = protocol.getattr(intern!(py, "receive"))?;
        let send = protocol.getattr(intern!(py, "send"))?;
        callable.call1((scope, receive, send))
    }
}
