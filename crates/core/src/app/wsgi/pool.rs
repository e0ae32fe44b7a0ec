//! The threads that call a WSGI application: started on demand up to a limit, ended when idle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::block::block_on;
use super::response::Body;
use crate::app::call::{Call, Outcome};
use granian_net::exchange::room::HasRoom;
use granian_net::runtime::waker::lock;

/// A worker's threads and the calls that wait for one.
pub(crate) struct Pool {
    callable: Py<PyAny>,
    limit: usize,
    idle_timeout: Duration,
    /// The loop's thread puts calls in, the pool's threads take them out.
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

struct Job {
    environ: Py<PyDict>,
    call: Arc<Call>,
}

impl Pool {
    pub(crate) fn new(callable: Py<PyAny>, limit: usize, idle_timeout: Duration) -> Arc<Self> {
        let queue = Mutex::new(Queue::default());
        Arc::new(Self {
            callable,
            limit,
            idle_timeout,
            queue,
            arrived: Condvar::new(),
        })
    }

    /// Has the application called on one of the threads. The queue is bounded by the number of
    /// exchanges that a worker admits.
    pub(crate) fn submit(self: &Arc<Self>, py: Python<'_>, environ: Py<PyDict>, call: Arc<Call>) {
        let host = Arc::clone(&call.host);
        let number = {
            let mut queue = lock(&self.queue);
            queue.jobs.push_back(Job { environ, call });
            if queue.jobs.len() <= queue.idle || queue.threads >= self.limit {
                None
            } else {
                queue.threads += 1;
                Some(queue.threads)
            }
        };
        let Some(number) = number else {
            return self.arrived.notify_one();
        };
        if let Err(error) = self.spawn(py, number) {
            // The threads there are take the call; without any it is lost, and says so.
            let lost = {
                let mut queue = lock(&self.queue);
                queue.threads -= 1;
                if queue.threads == 0 {
                    queue.jobs.pop_back()
                } else {
                    None
                }
            };
            match lost {
                Some(job) => job.call.finish(py, Outcome::Raised(error)),
                None => host.report(py, error),
            }
        }
    }

    fn spawn(self: &Arc<Self>, py: Python<'_>, number: usize) -> PyResult<()> {
        let arguments = PyDict::new(py);
        arguments.set_item("target", Bound::new(py, PoolThread(Arc::clone(self)))?)?;
        arguments.set_item("name", format!("granian-blocking-{number}"))?;
        arguments.set_item("daemon", true)?;
        let thread = py
            .import("threading")?
            .getattr("Thread")?
            .call((), Some(&arguments))?;
        thread.call_method0(intern!(py, "start")).map(drop)
    }

    /// The next call; `None` if none came for so long that the thread is to end.
    fn take(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue.idle += 1;
            let (guard, wait) = self
                .arrived
                .wait_timeout(queue, self.idle_timeout)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            queue.idle -= 1;
            if wait.timed_out() && queue.jobs.is_empty() && queue.threads > 1 {
                queue.threads -= 1;
                return None;
            }
        }
    }

    fn run(&self, py: Python<'_>, job: Job) {
        let exchange = Arc::clone(&job.call.exchange);
        let environ = job.environ.into_bound(py).into_any();
        let Some(mut body) = Body::begin(py, self.callable.bind(py), environ, job.call, true)
        else {
            return;
        };
        while body.step(py) {
            if !exchange.has_room() {
                py.detach(|| block_on(|cx| exchange.poll_room(cx)));
            }
        }
    }
}

/// What a thread of the pool runs.
#[pyclass(frozen, module = "granian._granian")]
struct PoolThread(Arc<Pool>);

#[pymethods]
impl PoolThread {
    fn __call__(&self, py: Python<'_>) {
        while let Some(job) = py.detach(|| self.0.take()) {
            // A bug costs the call that it is in, not the thread: none would take its place.
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.run(py, job)));
        }
    }
}
