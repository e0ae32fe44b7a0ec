//! `Hours`: what a pool thread does with its time, for the worker's page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granian_net::metrics::Page;
use granian_net::metrics::layout::at;

/// One thread's; nothing without a page.
pub(super) struct Hours {
    page: Option<Arc<Page>>,
    /// The last change between work and rest.
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

    /// A call begins. The thread has waited for the interpreter for `wait` before.
    pub(super) fn begin(&mut self, wait: Duration) {
        let Some(page) = &self.page else { return };
        let now = Instant::now();
        page.subtract(at::THREADS_QUEUE, 1);
        page.add(at::PYTHON_WAIT, nanoseconds(wait));
        let idle = now.duration_since(self.since).saturating_sub(wait);
        page.add(at::THREADS_IDLE, nanoseconds(idle));
        self.since = now;
    }

    /// The call has ended.
    pub(super) fn end(&mut self) {
        let Some(page) = &self.page else { return };
        let now = Instant::now();
        page.add(at::THREADS_BUSY, nanoseconds(now - self.since));
        self.since = now;
    }
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
