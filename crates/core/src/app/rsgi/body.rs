//! Reading an RSGI request's body: whole, or piece by piece.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::protocol_closed;
use crate::app::awaitable::Waitable;
use crate::app::call::Call;
use crate::app::making::{LARGE, Making};
use crate::app::payload::object_of;
use crate::python::EventLoop;
use granian_net::exchange::BodyRead;
use granian_net::runtime::waker::lock;

/// `await protocol()`: all of the body as `bytes`.
pub(crate) struct Whole {
    call: Arc<Call>,
    /// One task awaits it at a time, so the lock is never contended.
    state: Mutex<State>,
}

enum State {
    /// What has come so far.
    Collecting(Vec<u8>),
    /// A large body has come whole.
    Making(Making),
}

impl Whole {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            state: Mutex::new(State::Collecting(Vec::new())),
        }
    }

    /// The body, if `read` completes it and it is not large.
    fn collect(&self, py: Python<'_>, read: BodyRead) -> Option<PyResult<Py<PyAny>>> {
        let BodyRead::Data { data, last } = read else {
            return Some(Err(protocol_closed(py)));
        };
        let mut state = lock(&self.state);
        let State::Collecting(collected) = &mut *state else {
            return None; // it was complete
        };
        if last && collected.is_empty() {
            return Some(object_of(py, &data).map(|data| data.into_any().unbind()));
        }
        data.append_to(&mut *collected);
        if last && collected.len() >= LARGE {
            *state = State::Making(Making::new(std::mem::take(collected), false));
            return None;
        }
        last.then(|| Ok(PyBytes::new(py, collected).into_any().unbind()))
    }

    fn go_on(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let State::Making(making) = &mut *lock(&self.state) else {
            return None;
        };
        making.go_on(py).transpose()
    }
}

impl Waitable for Whole {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        loop {
            let Poll::Ready(read) = self.call.poll_body(cx) else {
                return Poll::Pending;
            };
            if let Some(result) = self.collect(py, read) {
                return Poll::Ready(result);
            }
            if self.is_making() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        while !self.is_making() {
            if let Some(result) = self.collect(py, self.call.try_body()?) {
                return Some(result);
            }
        }
        self.go_on(py)
    }

    fn is_making(&self) -> bool {
        matches!(*lock(&self.state), State::Making(_))
    }

    fn forget(&self, waker: &Waker) {
        self.call.exchange.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.call.calls.event_loop
    }
}

/// The progress of an iteration over a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Iteration {
    Reading,
    /// The last piece was given; an empty one follows it.
    Complete,
    Exhausted,
}

/// One step of `async for piece in protocol`.
pub(crate) struct Piece {
    pub(crate) call: Arc<Call>,
    pub(crate) iteration: Arc<Mutex<Iteration>>,
}

impl Piece {
    fn give(&self, py: Python<'_>, read: BodyRead) -> PyResult<Py<PyAny>> {
        let BodyRead::Data { data, last } = read else {
            return Err(protocol_closed(py));
        };
        if last {
            *lock(&self.iteration) = if data.is_empty() {
                Iteration::Exhausted
            } else {
                Iteration::Complete
            };
        }
        Ok(object_of(py, &data)?.into_any().unbind())
    }

    fn after_body(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let mut iteration = lock(&self.iteration);
        match *iteration {
            Iteration::Reading => None,
            Iteration::Complete => {
                *iteration = Iteration::Exhausted;
                Some(Ok(PyBytes::new(py, b"").into_any().unbind()))
            }
            Iteration::Exhausted => Some(Err(PyStopAsyncIteration::new_err("stream exhausted"))),
        }
    }
}

impl Waitable for Piece {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        match self.after_body(py) {
            Some(result) => Poll::Ready(result),
            None => self.call.poll_body(cx).map(|read| self.give(py, read)),
        }
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        self.after_body(py)
            .or_else(|| self.call.try_body().map(|read| self.give(py, read)))
    }

    fn forget(&self, waker: &Waker) {
        self.call.exchange.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.call.calls.event_loop
    }
}
