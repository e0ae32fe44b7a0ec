//! `receive` and `send` of one request.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::message::{Message, parse};
use crate::app::awaitable::{Awaitable, Waitable};
use crate::app::call::Call;
use crate::app::payload::object_of;
use crate::app::room::sent;
use crate::python::{EventLoop, enter};
use granian_net::exchange::BodyRead;

/// The object whose methods an application gets as `receive` and `send`.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "ASGIHTTPProtocol"
)]
pub(crate) struct Http {
    call: Arc<Call>,
}

impl Http {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self { call }
    }

    fn handle(&self, message: Message) -> PyResult<()> {
        match message {
            Message::Start { head, trailers } => {
                let result = self.call.start(head);
                if trailers && result.is_ok() {
                    self.call.expect_trailers();
                }
                result
            }
            Message::EarlyHint(head) => self.call.inform(head),
            Message::Push(promise) => self.call.push(promise),
            Message::Trailers { trailers, more } => self.call.trailers(trailers, more),
            Message::Debug => Ok(()),
            Message::Body { data, more } => self.call.data(data, !more),
            Message::PathSend(path) => self.call.send_path(path, None),
            Message::ZeroCopySend { region, more } => self.call.send_region(region, !more),
        }
        .map_err(|error| PyRuntimeError::new_err(format!("ASGI flow error: {error}")))
    }
}

#[pymethods]
impl Http {
    /// `await receive()`: `http.request` with the bytes of the body that have come, then
    /// `http.disconnect`.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Awaitable::start(py, Receive(Arc::clone(&self.call)))
    }

    /// `await send(message)`: ready at once unless the peer is slow to read. Errors in the message
    /// or its order are raised when called.
    fn send<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let message = parse(message)?;
        let _entry = enter();
        self.handle(message)?;
        sent(py, &self.call)
    }
}

struct Receive(Arc<Call>);

impl Waitable for Receive {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        self.0.poll_body(cx).map(|read| event(py, read))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        self.0.try_body().map(|read| event(py, read))
    }

    fn forget(&self, waker: &Waker) {
        self.0.exchange.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.0.calls.event_loop
    }
}

fn event(py: Python<'_>, read: BodyRead) -> PyResult<Py<PyAny>> {
    let event = PyDict::new(py);
    let key = intern!(py, "type");
    match read {
        BodyRead::Gone | BodyRead::Unreadable(_) => {
            event.set_item(key, intern!(py, "http.disconnect"))?
        }
        BodyRead::Data { data, last } => {
            event.set_item(key, intern!(py, "http.request"))?;
            event.set_item(intern!(py, "body"), object_of(py, &data)?)?;
            event.set_item(intern!(py, "more_body"), !last)?;
        }
    }
    Ok(event.into_any().unbind())
}
