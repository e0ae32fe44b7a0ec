//! `receive` and `send` of one WebSocket connection
//! (<https://asgi.readthedocs.io/en/latest/specs/www.html#websocket>).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::ws_message::{Command, parse};
use crate::app::awaitable::{Awaitable, Waitable, done, yield_once};
use crate::app::call::Call;
use crate::app::fields;
use crate::app::incoming::{Incoming, Received};
use crate::app::response::{OrderError, Progress};
use crate::app::room::Room;
use crate::app::ws_rules::{FORBIDDEN, is_own, sendable, warn_of_own};
use crate::python::{EventLoop, enter};
use granian_net::exchange::messages::{Ended, Message, Opening, Sent};
use granian_net::exchange::room::HasRoom;

/// The object whose methods an application gets as `receive` and `send`.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "ASGIWebsocketProtocol"
)]
pub(crate) struct WebSocket {
    session: Arc<Session>,
}

struct Session {
    call: Arc<Call>,
    opening: Opening,
    incoming: Incoming,
    /// `websocket.connect` was given.
    is_introduced: AtomicBool,
}

impl WebSocket {
    pub(crate) fn new(call: Arc<Call>, opening: Opening) -> Self {
        Self {
            session: Arc::new(Session {
                call,
                opening,
                incoming: Incoming::default(),
                is_introduced: AtomicBool::new(false),
            }),
        }
    }
}

#[pymethods]
impl WebSocket {
    /// `await receive()`: `websocket.connect`, then messages, then `websocket.disconnect` each time.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Awaitable::start(py, Receive(Arc::clone(&self.session)))
    }

    /// `await send(message)`: ready at once unless the peer is slow to read. Errors in the message
    /// or its order are raised when called.
    fn send<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let session = &self.session;
        let command = parse(message)?;
        let entry = enter();
        if let Command::Send(message) = command {
            match session.send(message)? {
                Sent::Ended => return yield_once(py),
                Sent::MoreAhead => entry.defer(py),
                Sent::Queued => {
                    drop(entry);
                    if !session.opening.messages.has_room() {
                        return Room::wait(py, &session.opening.messages, &session.call);
                    }
                }
            }
            return done(py);
        }
        session.handle(py, command)?;
        if session.call.is_upgraded() || session.call.exchange.has_room() {
            return done(py);
        }
        Room::wait(py, &session.call.exchange, &session.call)
    }
}

impl Session {
    fn send(&self, message: Message) -> PyResult<Sent> {
        if self.call.is_upgraded() {
            return Ok(self.opening.messages.send(message));
        }
        if self.opening.messages.ended().is_some() {
            return Ok(Sent::Ended);
        }
        Err(flow_error("Connection not accepted"))
    }

    fn handle(&self, py: Python<'_>, command: Command) -> PyResult<()> {
        let messages = &self.opening.messages;
        match command {
            Command::Send(_) => Ok(()),
            Command::Accept {
                subprotocol,
                headers,
            } => self.accept(subprotocol.as_deref(), headers),
            Command::Close { code, reason } => {
                if self.call.is_upgraded() {
                    messages.close(sendable(py, &self.call.calls, code), reason);
                } else if self.call.progress() == Progress::Nothing {
                    self.call.plain(FORBIDDEN, "");
                }
                Ok(())
            }
            Command::DenialStart(head) => self.deny(|call| call.start(head)),
            Command::DenialBody { data, more } => self.deny(|call| call.data(data, !more)),
        }
    }

    fn accept(&self, subprotocol: Option<&str>, headers: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<()> {
        if self.call.is_upgraded() {
            return Err(flow_error("Connection already upgraded"));
        }
        let handshake = &self.opening.handshake;
        let mut head = handshake.accept(subprotocol).map_err(fields::head_error)?;
        for (name, value) in headers {
            if is_own(&name) {
                warn_of_own(&self.call.calls, &name);
                continue;
            }
            head.append(&name, &value).map_err(fields::head_error)?;
        }
        self.call
            .upgrade(head)
            .map_err(|error| flow_error(&error.to_string()))
    }

    fn deny(&self, send: impl FnOnce(&Call) -> Result<(), OrderError>) -> PyResult<()> {
        if self.call.is_upgraded() {
            return Err(flow_error("Connection already upgraded"));
        }
        send(&self.call).map_err(|error| flow_error(&error.to_string()))
    }
}

fn flow_error(why: &str) -> PyErr {
    PyRuntimeError::new_err(format!("ASGI flow error: {why}"))
}

struct Receive(Arc<Session>);

impl Receive {
    fn introduce(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let is_first = !self.0.is_introduced.swap(true, Ordering::AcqRel);
        is_first.then(|| {
            let event = PyDict::new(py);
            event.set_item(intern!(py, "type"), intern!(py, "websocket.connect"))?;
            Ok(event.into_any().unbind())
        })
    }
}

impl Waitable for Receive {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        let session = &self.0;
        session
            .incoming
            .poll_receive(py, &session.opening.messages, cx)
            .map(|received| event(py, received?))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        if !self.0.is_introduced.load(Ordering::Relaxed)
            && let Some(event) = self.introduce(py)
        {
            return Some(event);
        }
        let session = &self.0;
        let messages = &session.opening.messages;
        let received = session.incoming.try_receive(py, messages)?;
        Some(received.and_then(|received| event(py, received)))
    }

    fn is_making(&self) -> bool {
        self.0.incoming.is_making()
    }

    fn forget(&self, waker: &Waker) {
        self.0.opening.messages.forget(waker);
    }

    fn defers(&self) -> bool {
        true
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.0.call.calls.event_loop
    }
}

fn event(py: Python<'_>, received: Received) -> PyResult<Py<PyAny>> {
    let event = PyDict::new(py);
    let kind = intern!(py, "type");
    match received {
        Received::Text(text) => {
            event.set_item(kind, intern!(py, "websocket.receive"))?;
            event.set_item(intern!(py, "text"), text)?;
        }
        Received::Bytes(bytes) => {
            event.set_item(kind, intern!(py, "websocket.receive"))?;
            event.set_item(intern!(py, "bytes"), bytes)?;
        }
        Received::Ended(Ended { code, reason, .. }) => {
            event.set_item(kind, intern!(py, "websocket.disconnect"))?;
            event.set_item(intern!(py, "code"), code)?;
            event.set_item(intern!(py, "reason"), PyString::from_bytes(py, &reason)?)?;
        }
    }
    Ok(event.into_any().unbind())
}
