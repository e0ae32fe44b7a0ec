//! `Room`: waits until the peer has taken enough of what was sent.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use super::awaitable::{Awaitable, Waitable, done, yield_once};
use super::call::Call;
use crate::python::EventLoop;
use granian_net::exchange::Outlet;
use granian_net::exchange::room::HasRoom;

/// See the module's documentation.
pub(crate) struct Room<T> {
    queue: Arc<T>,
    event_loop: Arc<EventLoop>,
}

impl<T: HasRoom + 'static> Room<T> {
    /// The awaitable of room in `queue`, which `call` sends into.
    pub(crate) fn wait<'py>(
        py: Python<'py>,
        queue: &Arc<T>,
        call: &Call,
    ) -> PyResult<Bound<'py, PyAny>> {
        let room = Self {
            queue: Arc::clone(queue),
            event_loop: Arc::clone(&call.calls.event_loop),
        };
        Awaitable::start(py, room)
    }
}

/// The awaitable of a reply that `call` has sent: done, unless the peer is slow or gone.
pub(crate) fn sent<'py>(py: Python<'py>, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    match call.exchange.outlet() {
        Outlet::Open => done(py),
        Outlet::Full => Room::wait(py, &call.exchange, call),
        Outlet::Gone => yield_once(py),
    }
}

impl<T: HasRoom> Waitable for Room<T> {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        self.queue.poll_room(cx).map(|()| Ok(py.None()))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        self.queue.has_room().then(|| Ok(py.None()))
    }

    fn forget(&self, waker: &Waker) {
        self.queue.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.event_loop
    }
}
