//! `Starts`: how the tasks of requests start. While no request waits for anything but its client, a new one takes its
//! first step at once, within the turn. Otherwise it starts behind the Python code that is ready, as any task does.
//!
//! A request that starts at once runs before that code. A task there may have been woken because something is free that
//! requests share, such as a connection of a pool. The new request would take it, and `asyncio.Queue` puts the task that
//! finds nothing at the end of its line. FastAPI with a pool of 16 of asyncpg's, 64 clients, on a busy machine: 30
//! requests overtook each, with a 99th percentile of 230 to 360 ms; behind the others 1, and 45 to 50 ms.
//!
//! The requests themselves are counted, not the tasks that they make: while a request awaits its client, a child task of it
//! that waits for a pool can be overtaken. Nor does the count know what a request waits for: a single one that waits for
//! long, for a timer or an event, makes all new ones ordinary tasks as long as that.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// See the module's documentation. One per event loop.
pub(crate) struct Starts {
    /// `asyncio.Task`, if tasks can take their first step at once (CPython 3.12 and later) and the loop had no task factory
    /// when the worker was made, after the lifespan's startup. A factory that is set later makes the ordinary tasks only.
    eager_task: Option<Py<PyAny>>,
    /// The keyword arguments of its constructor; one dict for all calls.
    eager_arguments: Py<PyDict>,
    create_task: Py<PyAny>,
    /// Requests that are still to start, or wait for anything but their client.
    waiting: AtomicUsize,
    /// The address of the last future that stands for a client, of those noted since a step of a request began last; 0
    /// without one. It is compared only.
    client_future: AtomicUsize,
}

/// True while its request is one of [`Starts::waiting`]. A task may be dropped on any thread.
#[derive(Default)]
pub(crate) struct Waits(AtomicBool);

impl Starts {
    /// For `event_loop`, the calling thread's.
    ///
    /// # Errors
    /// `AttributeError` if it is no event loop.
    pub(crate) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        // A task factory of the user decides itself whether tasks start eagerly.
        let eager =
            py.version_info() >= (3, 12) && event_loop.call_method0("get_task_factory")?.is_none();
        let task = py.import("asyncio")?.getattr("Task")?;
        let eager_arguments = PyDict::new(py);
        eager_arguments.set_item("loop", event_loop)?;
        eager_arguments.set_item("eager_start", true)?;
        Ok(Self {
            eager_task: eager.then(|| task.unbind()),
            eager_arguments: eager_arguments.unbind(),
            create_task: event_loop.getattr("create_task")?.unbind(),
            waiting: AtomicUsize::new(0),
            client_future: AtomicUsize::new(0),
        })
    }

    /// Starts `coroutine`, which tells of its steps with `waits`, as a task.
    ///
    /// # Errors
    /// The exception of the task's constructor; never one of the coroutine.
    pub(crate) fn start<'py>(
        &self,
        coroutine: &Bound<'py, PyAny>,
        waits: &Waits,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        match &self.eager_task {
            Some(task) if self.waiting.load(Ordering::Relaxed) == 0 => task
                .bind(py)
                .call((coroutine,), Some(self.eager_arguments.bind(py))),
            _ => {
                self.enter(waits);
                self.create_task.bind(py).call1((coroutine,))
            }
        }
    }

    /// A step of a request begins.
    pub(crate) fn begin(&self, waits: &Waits) {
        // A child task may have noted a future since the step before. It may be gone, and its address another one's.
        self.client_future.store(0, Ordering::Relaxed);
        self.leave(waits);
    }

    /// The request does not wait, or will have no step any more.
    pub(crate) fn leave(&self, waits: &Waits) {
        // Most requests have one step only: they do without the exchange.
        if waits.0.load(Ordering::Relaxed) && waits.0.swap(false, Ordering::Relaxed) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A step of a request has ended, which waits for `awaited`. `None` asks for the next step only, and is no wait.
    pub(crate) fn suspend(&self, waits: &Waits, awaited: &Bound<'_, PyAny>) {
        if !awaited.is_none()
            && self.client_future.load(Ordering::Relaxed) != awaited.as_ptr().addr()
        {
            self.enter(waits);
        }
    }

    /// `future` stands for what a client sends or takes.
    pub(crate) fn note_client(&self, future: &Bound<'_, PyAny>) {
        self.client_future
            .store(future.as_ptr().addr(), Ordering::Relaxed);
    }

    /// The request is still to start, or waits for anything but its client: it counts in `waiting`, once.
    fn enter(&self, waits: &Waits) {
        if !waits.0.swap(true, Ordering::Relaxed) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
    }
}
