//! `Space`: waits until the peer has taken enough of what was sent.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use super::awaitable::Waitable;
use super::call::Call;
use crate::python::EventLoop;
use granian_net::exchange::Exchange;
use granian_net::exchange::messages::WebSocket;

/// What an application sends into, within bounds.
pub(crate) trait Outbox: Send + Sync {
    fn poll_space(&self, cx: &mut Context<'_>) -> Poll<()>;
    fn is_writable(&self) -> bool;
    fn forget(&self, waker: &Waker);
}

impl Outbox for Exchange {
    fn poll_space(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_space(cx)
    }

    fn is_writable(&self) -> bool {
        self.is_writable()
    }

    fn forget(&self, waker: &Waker) {
        self.forget(waker);
    }
}

impl Outbox for WebSocket {
    fn poll_space(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_space(cx)
    }

    fn is_writable(&self) -> bool {
        self.is_writable()
    }

    fn forget(&self, waker: &Waker) {
        self.forget(waker);
    }
}

/// See the module's documentation.
pub(crate) struct Space<T> {
    outbox: Arc<T>,
    event_loop: Arc<EventLoop>,
}

impl<T> Space<T> {
    /// For what `call` sends into.
    pub(crate) fn new(outbox: &Arc<T>, call: &Call) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            event_loop: Arc::clone(&call.host.event_loop),
        }
    }
}

impl<T: Outbox> Waitable for Space<T> {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        self.outbox.poll_space(cx).map(|()| Ok(py.None()))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        self.outbox.is_writable().then(|| Ok(py.None()))
    }

    fn forget(&self, waker: &Waker) {
        self.outbox.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.event_loop
    }
}
