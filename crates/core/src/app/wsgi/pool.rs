//! The threads that call a WSGI application: Python's, so that thread-locals and debuggers see them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Target;
use super::hours::{Hours, Rest};
use super::seat::{CallPool, SEATED, Seated, wait_for_client};
use crate::app::call::{Call, Outcome};
use crate::app::calls::Calls;
use granian_net::exchange::room::HasRoom;
use granian_net::exchange::waiters::Waiters;
use granian_net::metrics::Page;
use granian_net::metrics::layout::at;
use granian_net::runtime::pool::{Pool, Seat};

/// The threads of one worker.
pub(crate) struct Threads {
    target: Arc<Target>,
    calls: Arc<Calls>,
    pool: Arc<CallPool>,
    /// Those of its threads that wait for clients.
    waiters: Arc<Waiters>,
    /// Where calls and threads are counted.
    page: Option<Arc<Page>>,
}

impl Threads {
    /// Up to `limit` threads that call `target`; one that had nothing to do for `idle_timeout` ends. What they do is
    /// counted on `page`.
    pub(crate) fn new(
        target: Arc<Target>,
        calls: Arc<Calls>,
        (limit, idle_timeout): (usize, Duration),
        page: Option<Arc<Page>>,
    ) -> Arc<Self> {
        // The pool starts threads of `Threads`, which owns it.
        let this: Arc<OnceLock<Weak<Self>>> = Arc::default();
        let found = Arc::clone(&this);
        let pool = Pool::new(limit, idle_timeout, move |number| {
            found
                .get()
                .and_then(Weak::upgrade)
                .is_some_and(|threads| threads.start(number))
        });
        let waiters: Arc<Waiters> = Arc::default();
        let hurried = Arc::clone(&waiters);
        let pool = pool.hurrying(move |count| hurried.evict(count, Instant::now()));
        let threads = Arc::new(Self {
            target,
            calls,
            waiters,
            pool: Arc::new(pool),
            page,
        });
        let _ = this.set(Arc::downgrade(&threads));
        threads
    }

    /// Has the application called on the threads for `fresh` calls, of which none are left there. The line is bounded by
    /// the number of exchanges that a worker admits.
    pub(super) fn staff(&self, fresh: &mut Vec<Arc<Call>>) {
        if fresh.is_empty() {
            return;
        }
        if let Some(page) = &self.page {
            page.add(at::THREADS_QUEUE, fresh.len() as u64);
        }
        self.pool.submit_all(Instant::now(), fresh);
        let lost = self.pool.staff();
        if !lost.is_empty() {
            if let Some(page) = &self.page {
                page.subtract(at::THREADS_QUEUE, lost.len() as u64);
            }
            Python::attach(|py| {
                for (_, call) in lost {
                    let error = PyRuntimeError::new_err(
                        "no thread could be started to call the application",
                    );
                    call.finish(py, Outcome::Raised(error));
                }
            });
        }
    }

    /// Ends the threads.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    fn start(self: &Arc<Self>, number: usize) -> bool {
        Python::attach(|py| {
            let started = self.try_start(py, number);
            started
                .map_err(|error| self.calls.report(py, error))
                .is_ok()
        })
    }

    fn try_start(self: &Arc<Self>, py: Python<'_>, number: usize) -> PyResult<()> {
        let arguments = PyDict::new(py);
        arguments.set_item("target", Bound::new(py, PoolThread(Arc::clone(self)))?)?;
        arguments.set_item("name", format!("granian-blocking-{number}"))?;
        // Threads of the application's would inherit it, and end with the process in the middle of their work. These
        // end by themselves, see `close`.
        arguments.set_item("daemon", false)?;
        let thread = py
            .import("threading")?
            .getattr("Thread")?
            .call((), Some(&arguments))?;
        thread.call_method0(intern!(py, "start")).map(drop)
    }

    fn run(&self, py: Python<'_>, call: Arc<Call>) {
        let exchange = Arc::clone(&call.exchange);
        if exchange.is_closed() {
            // Nobody waits for it any more.
            return call.finish(py, Outcome::Cancelled);
        }
        let Some(mut body) = self.target.begin(py, call, true) else {
            return;
        };
        while body.step(py) {
            if !exchange.has_room() {
                wait_for_client(py, &exchange, |cx| exchange.poll_room(cx));
            }
        }
    }
}

/// The function that a thread of the pool runs.
#[pyclass(frozen, module = "granian._granian")]
struct PoolThread(Arc<Threads>);

#[pymethods]
impl PoolThread {
    fn __call__(&self, py: Python<'_>) {
        SEATED.set(Some(Seated {
            pool: Arc::clone(&self.0.pool),
            waiters: Arc::clone(&self.0.waiters),
            seat: Seat::new(),
        }));
        let mut since = Instant::now();
        let mut hours = Hours::new(self.0.page.clone());
        while let Some(call) = next(py, &mut since, &mut hours) {
            // A bug costs the call that it is in, not the thread: none would take its place.
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.run(py, call)));
        }
        SEATED.set(None);
    }
}

/// The next call of this thread's pool. The interpreter is kept from one quick call to the next: handing it over and
/// getting it back costs more than they do. `since` is the time at which it was got.
fn next(py: Python<'_>, since: &mut Instant, hours: &mut Hours) -> Option<Arc<Call>> {
    let mut seated = SEATED.take()?;
    let now = Instant::now();
    let is_quick = now.saturating_duration_since(*since) < KEEP;
    let job = if is_quick {
        seated.pool.take_now(&mut seated.seat, now)
    } else {
        None
    };
    hours.end(now, job.is_none());
    let (job, rest, seated) = match job {
        Some(job) => (Some(job), None, seated),
        None => {
            let (job, taken, seated) = py.detach(|| {
                let job = seated.pool.take(&mut seated.seat);
                (job, Instant::now(), seated)
            });
            let begun = Instant::now();
            let rest = Rest {
                since: now,
                taken,
                begun,
            };
            *since = begun;
            (job, Some(rest), seated)
        }
    };
    SEATED.set(Some(seated));
    if job.is_some() {
        hours.begin(rest);
    }
    job
}

/// Time for which a thread keeps the interpreter from job to job.
const KEEP: Duration = Duration::from_millis(1);
