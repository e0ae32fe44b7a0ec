//! ASGI 3: requests to scopes, messages to replies.
//! <https://asgi.readthedocs.io/en/latest/specs/www.html>

mod http;
mod message;
mod own_dict;
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
use super::runner::Again;
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
    ) -> PyResult<(Bound<'py, PyAny>, Option<Again>)> {
        let py = callable.py();
        let mut again = None;
        let (scope, protocol) = match &request.websocket {
            None => {
                let http = Bound::new(py, Http::new(Arc::clone(call)))?;
                let announces_files = call.calls.announces_files();
                let scope = self.scope.http(py, &request, announces_files)?;
                if announces_files && matches!(request.head().method(), "GET" | "HEAD") {
                    again = Some(Again {
                        callable: callable.clone().unbind(),
                        scope: scope.clone().unbind(),
                        repeat: repeat_without_files,
                    });
                }
                (scope, http.into_any())
            }
            Some(opening) => {
                let scope = self.scope.websocket(py, &request, &opening.handshake)?;
                let websocket = WebSocket::new(Arc::clone(call), opening.clone());
                (scope, Bound::new(py, websocket)?.into_any())
            }
        };
        call.calls.note_scope(call.key(), scope.as_any());
        let receive = protocol.getattr(intern!(py, "receive"))?;
        let send = protocol.getattr(intern!(py, "send"))?;
        Ok((callable.call1((scope, receive, send))?, again))
    }
}

/// Calls the application again, with a scope that does not offer to send files by their path.
///
/// Middleware that knows the messages of a body only, such as the compression of Gradio, swallows
/// `http.response.pathsend` with the head before it. A safe request that was answered by nothing
/// where files were on offer has most likely met such a one: the worker stops offering, and the
/// request is answered as if it never had.
fn repeat_without_files<'py>(
    py: Python<'py>,
    again: &Again,
    call: &Arc<Call>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    call.calls.withdraw_files(py);
    call.rewind_body();
    let scope = scope::renewed(again.scope.bind(py), &call.calls.root_path)?;
    call.calls.note_scope(call.key(), scope.as_any());
    let protocol = Bound::new(py, Http::new(Arc::clone(call)))?;
    let receive = protocol.getattr(intern!(py, "receive"))?;
    let send = protocol.getattr(intern!(py, "send"))?;
    let awaitable = again.callable.bind(py).call1((scope, receive, send))?;
    Ok(Some(awaitable))
}
