//! `Hours`: what a pool thread does with its time, for the worker's page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granian_net::metrics::Page;
use granian_net::metrics::layout::at;

/// One thread's; nothing without a page. What it has worked is written there when it rests, and every few milliseconds.
pub(super) struct Hours {
    page: Option<Arc<Page>>,
    /// The last change between work and rest, or the last time that work was written.
    since: Instant,
}

impl Hours {
    /// The calling thread joins the pool.
    pub(super) fn new(page: Option<Arc<Page>>) -> Self {
        if let Some(page) = &page {
            page.add(at::THREADS, 1);
        }
        Self {
            page,
            since: Instant::now(),
        }
    }

    /// A call begins. The thread has rested before, if it has, and then waited for the interpreter.
    pub(super) fn begin(&mut self, rest: Option<Rest>) {
        let Some(page) = &self.page else { return };
        page.subtract(at::THREADS_QUEUE, 1);
        if let Some(rest) = rest {
            let wait = rest.begun.saturating_duration_since(rest.taken);
            let idle = rest.taken.saturating_duration_since(rest.since);
            page.add(at::PYTHON_WAIT, nanoseconds(wait));
            page.add(at::THREADS_IDLE, nanoseconds(idle));
            self.since = rest.begun;
        }
    }

    /// The call has ended at `now`. The next one begins at once, unless the thread `rests`.
    pub(super) fn end(&mut self, now: Instant, rests: bool) {
        let Some(page) = &self.page else { return };
        let worked = now.saturating_duration_since(self.since);
        if rests || worked >= UNTOLD {
            page.add(at::THREADS_BUSY, nanoseconds(worked));
            self.since = now;
        }
    }
}

/// The times of a rest.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    /// The call before it had ended.
    pub(super) since: Instant,
    /// A job was there.
    pub(super) taken: Instant,
    /// The interpreter was there.
    pub(super) begun: Instant,
}

impl Drop for Hours {
    fn drop(&mut self) {
        if let Some(page) = &self.page {
            page.subtract(at::THREADS, 1);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Work that is not written yet.
const UNTOLD: Duration = Duration::from_millis(5);
