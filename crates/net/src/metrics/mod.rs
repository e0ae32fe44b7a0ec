//! `Metrics`: the numbers of one worker, in memory that another process reads.
//!
//! The page is shared with whoever made it, and outlives the worker. Everything is a relaxed atomic: a reader gets
//! whole words, at most a moment old. `layout` has the places, `meter` measures one exchange, `row` is an exchange as
//! the reader sees it, `routes` has the names of routes, `ticker` measures the event loop.

pub mod layout;
mod meter;
mod page;
mod routes;
mod row;
pub mod ticker;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use granian_proto::Version;

use self::layout::{Histogram, at, route};
pub(crate) use self::meter::{Meter, Moment};
pub use self::page::Page;
pub use self::routes::Routes;
use crate::close::{CloseCause, Limit};

/// See the module's documentation. One per thread of connections, which uses it alone.
pub struct Metrics {
    /// The worker's.
    page: Arc<Page>,
    /// The page that this thread counts on: the worker's, or one of its own where others count as well.
    counters: Arc<Page>,
    /// The numbers of a page of its own as far as they are on the worker's.
    published: RefCell<Vec<u64>>,
    /// Routes that were counted there since.
    routed: RefCell<BTreeSet<u16>>,
    /// One moment on two clocks: the second is the system's monotonic one, in nanoseconds.
    origin: (Instant, u64),
    /// An exchange that took at least so many nanoseconds is kept in the ring.
    slow: u64,
    /// The last time that many requests had in common, on both clocks.
    turn: Cell<(Instant, u64)>,
    /// Rows of the page that no exchange has.
    free: RefCell<Vec<u16>>,
}

impl Metrics {
    /// Writes to `page`, on which nobody has written yet. Exchanges that take `slow` are kept in its ring.
    pub fn new(page: Arc<Page>, slow: Duration) -> Self {
        page.word(at::MAGIC).store(layout::MAGIC, Ordering::Relaxed);
        let counters = Arc::clone(&page);
        Self::with((page, counters), slow, 0..layout::ROWS)
    }

    /// Those of the `index`-th of `count` threads that write to one page. They get there by [`Metrics::publish`].
    ///
    /// # Errors
    /// When the system gives no memory for a page.
    pub fn of_thread(
        page: Arc<Page>,
        slow: Duration,
        (index, count): (usize, usize),
    ) -> io::Result<Self> {
        let counters = Arc::new(Page::own()?);
        let rows = index * layout::ROWS / count..(index + 1) * layout::ROWS / count;
        Ok(Self::with((page, counters), slow, rows))
    }

    fn with((page, counters): (Arc<Page>, Arc<Page>), slow: Duration, rows: Range<usize>) -> Self {
        let origin = (Instant::now(), monotonic());
        Self {
            page,
            counters,
            published: RefCell::default(),
            routed: RefCell::default(),
            origin,
            turn: Cell::new(origin),
            slow: nanoseconds(slow),
            free: RefCell::new(rows.map(|row| row as u16).rev().collect()),
        }
    }

    /// Adds what has changed on a page of its own to the worker's.
    pub(crate) fn publish(&self) {
        self.publish_words(at::CONNECTIONS..at::ROWS);
        for route in self.routed.take() {
            let first = routes::row_of(route);
            self.publish_words(first..first + route::WORDS);
        }
    }

    fn publish_words(&self, words: Range<usize>) {
        let mut published = self.published.borrow_mut();
        published.resize(at::END, 0);
        let published = published.iter_mut().enumerate();
        for (at, before) in published.skip(words.start).take(words.len()) {
            let now = self.counters.word(at).load(Ordering::Relaxed);
            if now != *before {
                self.page.add(at, now.wrapping_sub(*before));
                *before = now;
            }
        }
    }

    /// The page, for threads that write to it themselves.
    pub fn page(&self) -> &Arc<Page> {
        &self.page
    }

    /// The time as the page has it.
    fn time(&self, now: Instant) -> u64 {
        let (instant, time) = self.origin;
        time + nanoseconds(now.saturating_duration_since(instant))
    }

    /// The same for a time that other requests have had, too.
    fn time_of_turn(&self, now: Instant) -> u64 {
        let (instant, time) = self.turn.get();
        if instant == now {
            return time;
        }
        let time = self.time(now);
        self.turn.set((now, time));
        time
    }

    /// Adds to a counter of this thread's: no locked instruction.
    fn add(&self, at: usize, count: u64) {
        let word = self.counters.word(at);
        let sum = word.load(Ordering::Relaxed).wrapping_add(count);
        word.store(sum, Ordering::Relaxed);
    }

    fn subtract(&self, at: usize, count: u64) {
        self.add(at, count.wrapping_neg());
    }

    fn set(&self, at: usize, value: u64) {
        self.page.word(at).store(value, Ordering::Relaxed);
    }

    fn observe(&self, histogram: &Histogram, value: u64) {
        let bounds = histogram.bounds;
        let bucket = bounds.iter().position(|bound| value <= *bound);
        self.add(histogram.at + bucket.unwrap_or(bounds.len()), 1);
        self.add(histogram.at + bounds.len() + 1, value);
    }

    /// A request was answered with `status`, 0 for none.
    fn count_answer(&self, version: Version, status: u16) {
        self.add(layout::requests(version, status), 1);
    }

    /// A request of this route was answered.
    fn count_route(&self, route: u16, status: u16, duration: u64) {
        let first = routes::row_of(route);
        self.add(first + route::STATUSES + layout::class(status), 1);
        self.observe(&layout::route_duration(first), duration);
        if !Arc::ptr_eq(&self.page, &self.counters) {
            self.routed.borrow_mut().insert(route);
        }
    }

    /// The connection itself has answered, in the place of the application.
    pub(crate) fn note_refusal(&self, version: Version, status: u16) {
        self.count_answer(version, status);
    }

    /// A connection has ended.
    pub(crate) fn note_closed(&self, cause: CloseCause) {
        self.add(at::CLOSED + cause.index(), 1);
    }

    /// A limit was reached.
    pub(crate) fn note_limit(&self, limit: Limit) {
        self.add(at::LIMITED + limit as usize, 1);
    }

    /// A connection was accepted; it is open until [`Metrics::leave`].
    pub(crate) fn enter(&self) {
        self.add(at::ACCEPTED, 1);
        self.add(at::CONNECTIONS, 1);
    }

    /// A connection is closed.
    pub(crate) fn leave(&self) {
        self.subtract(at::CONNECTIONS, 1);
    }

    /// The worker drains from now on.
    pub fn note_drain(&self) {
        self.set(at::DRAINING, 1);
    }
}

/// Counts something in a gauge of the page for as long as it lives.
pub(crate) struct Present {
    metrics: Option<Rc<Metrics>>,
    at: usize,
}

impl Present {
    /// An open connection that speaks HTTP/2.
    pub(crate) fn http2(metrics: Option<&Rc<Metrics>>) -> Self {
        Self::new(metrics, at::HTTP2)
    }

    /// An open connection that carries a websocket.
    pub(crate) fn websocket_connection(metrics: Option<&Rc<Metrics>>) -> Self {
        Self::new(metrics, at::WEBSOCKET_CONNECTIONS)
    }

    /// An open websocket.
    pub(crate) fn websocket(metrics: Option<&Rc<Metrics>>) -> Self {
        if let Some(metrics) = metrics {
            metrics.add(at::WEBSOCKETS_OPENED, 1);
        }
        Self::new(metrics, at::WEBSOCKETS)
    }

    fn new(metrics: Option<&Rc<Metrics>>, at: usize) -> Self {
        if let Some(metrics) = metrics {
            metrics.add(at, 1);
        }
        Self {
            metrics: metrics.cloned(),
            at,
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.subtract(self.at, 1);
        }
    }
}

/// The system's monotonic clock in nanoseconds, which all processes read alike.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * NANOSECONDS + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// More than the centuries that fit count as those.
fn nanoseconds(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(NANOSECONDS);
    whole.saturating_add(time.subsec_nanos().into())
}

const NANOSECONDS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
