//! `protocol` of one WebSocket connection, the transport that accepting it gives, and its messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use granian_proto::ResponseHead;
use granian_proto::ws::code;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::head::for_each_header;
use super::{closed, protocol_closed, protocol_error};
use crate::app::awaitable::{Awaitable, Ready, Waitable, done};
use crate::app::call::Call;
use crate::app::fields;
use crate::app::incoming::{Incoming, Received};
use crate::app::payload::{bytes_of, text_of};
use crate::app::response::Progress;
use crate::app::room::Room;
use crate::app::ws_rules::{
    FORBIDDEN, close_code, close_reason, is_own, refusal, sendable, warn_of_own,
};
use crate::python::{EventLoop, enter};
use granian_net::exchange::messages::{Ended, EndedBy, Message as Payload, Opening, Sent};
use granian_net::exchange::room::HasRoom;

/// The object by which an application accepts or refuses a connection.
#[pyclass(frozen, module = "granian._granian", name = "RSGIWebsocketProtocol")]
pub(crate) struct WebSocket {
    session: Arc<Session>,
}

struct Session {
    call: Arc<Call>,
    opening: Opening,
    incoming: Incoming,
    /// A `receive` waits for a message.
    is_receiving: AtomicBool,
    /// `receive` has given the close; a further one is an error.
    is_end_told: AtomicBool,
}

impl WebSocket {
    pub(crate) fn new(call: Arc<Call>, opening: Opening) -> Self {
        Self {
            session: Arc::new(Session {
                call,
                opening,
                incoming: Incoming::default(),
                is_receiving: AtomicBool::new(false),
                is_end_told: AtomicBool::new(false),
            }),
        }
    }
}

#[pymethods]
impl WebSocket {
    /// `transport = await protocol.accept()`
    #[pyo3(signature = (subprotocol = None, headers = None))]
    fn accept<'py>(
        &self,
        py: Python<'py>,
        subprotocol: Option<&str>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let session = &self.session;
        if session.call.is_upgraded() || session.call.progress() != Progress::Nothing {
            return Err(protocol_error(py, "RSGI protocol error"));
        }
        if session.opening.messages.ended().is_some() {
            return Err(protocol_closed(py));
        }
        let handshake = &session.opening.handshake;
        let mut head = handshake.accept(subprotocol).map_err(fields::head_error)?;
        for_each_header(headers, |pair| {
            let (name, value) = fields::text_pair(pair)?;
            let (name, value) = (name.to_str()?.as_bytes(), value.to_str()?.as_bytes());
            if is_own(name) {
                warn_of_own(&session.call.calls, name);
                return Ok(());
            }
            head.append(name, value).map_err(fields::head_error)
        })?;
        let _entry = enter();
        session
            .call
            .upgrade(head)
            .map_err(|error| protocol_error(py, &error.to_string()))?;
        let transport = Py::new(py, Transport(Arc::clone(session)))?;
        Awaitable::start(py, Ready::new(Ok(transport.into_any()), &session.call))
    }

    /// Refuses the connection with an HTTP status, or closes it with a close code.
    #[pyo3(signature = (status = None, reason = None))]
    fn close<'py>(
        &self,
        py: Python<'py>,
        status: Option<&Bound<'py, PyAny>>,
        reason: Option<&Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = &self.session.call;
        let _entry = enter();
        if call.is_upgraded() {
            let code = status.map_or(Ok(i64::from(code::NORMAL)), close_code)?;
            let code = sendable(py, &call.calls, code);
            let reason = reason.map_or_else(|| Ok(Bytes::new()), close_reason)?;
            self.session.opening.messages.close(code, reason);
        } else if call.progress() == Progress::Nothing {
            let status = status.map_or(Ok(FORBIDDEN), |status| close_code(status).map(refusal))?;
            let head = ResponseHead::new(status).map_err(fields::head_error)?;
            // There is no answer yet, so a response is in order.
            let _ = call.whole(head, Bytes::new());
        }
        done(py)
    }
}

/// An open connection.
#[pyclass(frozen, module = "granian._granian", name = "RSGIWebsocketTransport")]
pub(crate) struct Transport(Arc<Session>);

impl Transport {
    fn send<'py>(
        &self,
        py: Python<'py>,
        data: Bytes,
        is_text: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let entry = enter();
        let messages = &self.0.opening.messages;
        match messages.send(Payload { data, is_text }) {
            Sent::MoreAhead => entry.defer(py),
            Sent::Queued => {
                drop(entry);
                if !messages.has_room() {
                    return Room::wait(py, messages, &self.0.call);
                }
            }
            Sent::Ended => {
                let is_own = messages
                    .ended()
                    .is_some_and(|ended| ended.by == EndedBy::Application);
                if is_own {
                    return Err(protocol_error(py, "RSGI protocol error"));
                }
                return closed(py, &self.0.call);
            }
        }
        done(py)
    }
}

#[pymethods]
impl Transport {
    /// `message = await transport.receive()`
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let receive = Receive {
            session: Arc::clone(&self.0),
            is_waiting: AtomicBool::new(false),
        };
        Awaitable::start(py, receive)
    }

    /// `await transport.send_bytes(data)`
    fn send_bytes<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, bytes_of(data)?, false)
    }

    /// `await transport.send_str(data)`
    fn send_str<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.send(py, text_of(data)?, true)
    }
}

/// A received message, or the close.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "WebsocketInboundMessage"
)]
pub(crate) struct Message {
    /// 0 for the close, 1 for bytes, 2 for text.
    #[pyo3(get)]
    kind: u8,
    #[pyo3(get)]
    data: Py<PyAny>,
    #[pyo3(get)]
    code: Option<u16>,
    #[pyo3(get)]
    reason: Option<Py<PyString>>,
}

impl Message {
    fn of_payload(data: Py<PyAny>, is_text: bool) -> Self {
        Self {
            kind: if is_text { 2 } else { 1 },
            data,
            code: None,
            reason: None,
        }
    }

    fn of_end(py: Python<'_>, ended: &Ended) -> PyResult<Self> {
        let reason = PyString::from_bytes(py, &ended.reason)?;
        Ok(Self {
            kind: 0,
            data: py.None(),
            code: Some(ended.code),
            reason: Some(reason.unbind()),
        })
    }
}

struct Receive {
    session: Arc<Session>,
    /// Marks this `receive` as the one that waits.
    is_waiting: AtomicBool,
}

impl Receive {
    /// This one waits: another one is an error.
    fn claim(&self) {
        self.is_waiting.store(true, Ordering::Relaxed);
        self.session.is_receiving.store(true, Ordering::Relaxed);
    }

    /// Lets another `receive` wait: this one is done, or was cancelled.
    fn release(&self) {
        if self.is_waiting.swap(false, Ordering::Relaxed) {
            self.session.is_receiving.store(false, Ordering::Relaxed);
        }
    }

    fn give(&self, py: Python<'_>, received: PyResult<Received>) -> PyResult<Py<PyAny>> {
        self.release();
        let message = match received? {
            Received::Text(text) => Message::of_payload(text, true),
            Received::Bytes(bytes) => Message::of_payload(bytes, false),
            Received::Ended(ended) => {
                let is_told = self.session.is_end_told.swap(true, Ordering::AcqRel);
                let is_proper = matches!(ended.by, EndedBy::Peer | EndedBy::Server);
                if is_told || !is_proper {
                    return Err(protocol_closed(py));
                }
                Message::of_end(py, &ended)?
            }
        };
        Ok(Py::new(py, message)?.into_any())
    }
}

impl Waitable for Receive {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        let Session {
            incoming, opening, ..
        } = &*self.session;
        let polled = incoming.poll_receive(py, &opening.messages, cx);
        if polled.is_pending() {
            self.claim();
        }
        polled.map(|received| self.give(py, received))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let is_second = self.session.is_receiving.load(Ordering::Relaxed)
            && !self.is_waiting.load(Ordering::Relaxed);
        if is_second {
            return Some(Err(protocol_error(py, "RSGI protocol error")));
        }
        let session = &self.session;
        let messages = &session.opening.messages;
        let received = session.incoming.try_receive(py, messages);
        if received.is_none() && self.is_making() {
            self.claim();
        }
        Some(self.give(py, received?))
    }

    fn is_making(&self) -> bool {
        self.session.incoming.is_making()
    }

    fn forget(&self, waker: &Waker) {
        self.session.opening.messages.forget(waker);
    }

    fn cancelled(&self) {
        self.release();
    }

    fn defers(&self) -> bool {
        true
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.session.call.calls.event_loop
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        self.release();
    }
}
