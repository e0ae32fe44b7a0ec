//! `Meter`: measures one exchange, from its head to the end of its answer.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use granian_proto::{ResponsePlan, Version};

use super::Metrics;
use super::layout::{self, at, row};
use super::row::Row;
use crate::exchange::origin::Origin;
use crate::exchange::reply::Reply;

/// See the module's documentation. Nothing where nobody wants the numbers. An exchange whose meter is dropped before it
/// has ended otherwise was cut off.
#[derive(Default)]
pub(crate) struct Meter(Option<Measured>);

struct Measured {
    metrics: Rc<Metrics>,
    version: Version,
    is_head: bool,
    /// The number of the request's route, 0 without one.
    route: Cell<u16>,
    row: Row,
}

/// The time of replies that leave together, as the page has it: the system is asked for it once, if anybody wants to know.
#[derive(Default)]
pub(crate) struct Moment(Option<u64>);

/// How an exchange has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    /// With this status, in the place of an answer of the application's.
    Refused(u16),
    Cut,
    /// It is counted elsewhere.
    Forgotten,
}

impl Meter {
    /// Begins with the request of `origin`.
    pub(crate) fn begin(metrics: Option<&Rc<Metrics>>, origin: &Origin) -> Self {
        Self(metrics.map(|metrics| Measured {
            row: Row::new(
                metrics,
                &origin.head,
                &origin.peer.remote,
                metrics.time_of_turn(origin.since),
            ),
            metrics: Rc::clone(metrics),
            version: origin.head.version(),
            is_head: origin.head.is_head(),
            route: Cell::new(0),
        }))
    }

    /// The application wants to start with more of the body than has come.
    pub(crate) fn note_reading(&self) {
        if let Some(measured) = &self.0 {
            measured.wait(row::IS_READING);
        }
    }

    /// As much of the body has come as the application wants to start with.
    pub(crate) fn note_ready(&self, now: Instant) {
        if let Some(measured) = &self.0 {
            measured.go_on();
            measured.set(row::READY, measured.metrics.time(now));
        }
    }

    /// The request waits for its turn.
    pub(crate) fn note_wait(&self) {
        if let Some(measured) = &self.0
            && !measured.is(row::IS_WAITING)
        {
            measured.go_on();
            measured.wait(row::IS_WAITING);
        }
    }

    /// The application is called.
    pub(crate) fn note_call(&self, now: Instant) {
        if let Some(measured) = &self.0 {
            measured.call(now);
        }
    }

    /// So many more bytes of the request's body have come.
    pub(crate) fn receive(&self, count: usize) {
        if let Some(measured) = &self.0 {
            let Measured { metrics, row, .. } = measured;
            row.add(metrics, row::RECEIVED, count as u64);
        }
    }

    /// So many bytes of the request's body have come.
    pub(crate) fn set_received(&self, count: usize) {
        if let Some(measured) = &self.0 {
            measured.set(row::RECEIVED, count as u64);
        }
    }

    /// `reply` goes out at this moment.
    #[inline]
    pub(crate) fn send(&self, reply: &Reply, moment: &mut Moment) {
        if let Some(measured) = &self.0 {
            measured.send(reply, moment);
        }
    }

    /// This is left of a reply that was said to go out; it will be said again.
    pub(crate) fn take_back(&self, rest: &Reply) {
        if let Some(measured) = &self.0
            && !measured.is(row::IS_BODILESS)
        {
            let Measured { metrics, row, .. } = measured;
            row.add(metrics, row::SENT, body_of(rest).wrapping_neg());
        }
    }

    /// The answer is complete at this moment.
    pub(crate) fn finish(&mut self, moment: &mut Moment) {
        self.end(End::Answered, moment);
    }

    /// The exchange has ended with this status, in the place of an answer of the application's.
    pub(crate) fn refuse(&mut self, status: u16) {
        self.end(End::Refused(status), &mut Moment::default());
    }

    /// The exchange is counted elsewhere.
    pub(crate) fn forget(&mut self) {
        self.end(End::Forgotten, &mut Moment::default());
    }

    #[inline]
    fn end(&mut self, end: End, moment: &mut Moment) {
        if let Some(measured) = self.0.take() {
            measured.end(end, moment);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(End::Cut, &mut Moment::default());
    }
}

impl Moment {
    fn get(&mut self, metrics: &Metrics) -> u64 {
        *self.0.get_or_insert_with(|| metrics.time(Instant::now()))
    }
}

impl Measured {
    fn is(&self, bit: u64) -> bool {
        self.row.is(&self.metrics, bit)
    }

    fn get(&self, word: usize) -> u64 {
        self.row.get(&self.metrics, word)
    }

    fn set(&self, word: usize, value: u64) {
        self.row.set(&self.metrics, word, value);
    }

    fn change(&self, set: u64, clear: u64) {
        self.row.change(&self.metrics, set, clear);
    }

    /// It waits for its body or its turn from now on: `bit`.
    fn wait(&self, bit: u64) {
        self.metrics.add(gauge_of(bit), 1);
        self.change(bit, 0);
    }

    /// It waits for neither any more.
    fn go_on(&self) {
        if !self.is(row::IS_READING | row::IS_WAITING) {
            return;
        }
        for bit in [row::IS_READING, row::IS_WAITING] {
            if self.is(bit) {
                self.metrics.subtract(gauge_of(bit), 1);
                self.change(0, bit);
            }
        }
    }

    fn call(&self, now: Instant) {
        let metrics = &self.metrics;
        let now = metrics.time(now);
        self.go_on();
        self.set(row::CALLED, now);
        self.change(row::IS_CALLED, 0);
        metrics.add(at::IN_FLIGHT, 1);
        let ready = self.get(row::READY);
        metrics.observe(&layout::QUEUE, now.saturating_sub(ready));
    }

    fn send(&self, reply: &Reply, moment: &mut Moment) {
        let metrics = &self.metrics;
        match reply {
            Reply::Head(head) | Reply::Upgrade(head) => {
                let status = head.status();
                let plan = ResponsePlan::of(self.is_head, status, head.content_length(), None);
                self.row.set_status(metrics, status);
                self.route.set(head.route());
                self.set(row::FIRST, moment.get(metrics));
                let bodiless = if plan.is_bodiless {
                    row::IS_BODILESS
                } else {
                    0
                };
                self.change(row::IS_ANSWERING | bodiless, 0);
            }
            _ if self.is(row::IS_BODILESS) => {}
            reply => self.row.add(metrics, row::SENT, body_of(reply)),
        }
    }

    fn end(self, end: End, moment: &mut Moment) {
        let metrics = &self.metrics;
        self.go_on();
        let is_called = self.is(row::IS_CALLED);
        if is_called {
            metrics.subtract(at::IN_FLIGHT, 1);
        }
        match end {
            End::Forgotten => {}
            End::Cut if !is_called => metrics.add(at::ABANDONED, 1),
            _ => self.count(end, moment.get(metrics)),
        }
        let Self { metrics, row, .. } = self;
        row.free(&metrics);
    }

    fn count(&self, end: End, now: u64) {
        let metrics = &self.metrics;
        if let End::Refused(status) = end {
            self.row.set_status(metrics, status);
        }
        let status = self.row.status(metrics);
        match end {
            End::Answered => metrics.add(at::HANDLED, 1),
            End::Cut => metrics.add(at::CUT, 1),
            End::Refused(_) | End::Forgotten => {}
        }
        metrics.count_answer(self.version, status);
        let duration = now.saturating_sub(self.get(row::ARRIVED));
        metrics.observe(&layout::DURATION, duration);
        if self.route.get() > 0 {
            metrics.count_route(self.route.get(), status, duration);
        }
        let first = self.get(row::FIRST);
        if first > 0 {
            let time = first.saturating_sub(self.get(row::ARRIVED));
            metrics.observe(&layout::FIRST_BYTE, time);
        }
        metrics.observe(&layout::RECEIVED, self.get(row::RECEIVED));
        metrics.observe(&layout::SENT, self.get(row::SENT));
        let is_cut = end == End::Cut;
        if is_cut || status >= FAILED || duration >= metrics.slow {
            self.row.keep(metrics, now, is_cut);
        }
    }
}

/// The gauge of the requests that wait for that.
fn gauge_of(bit: u64) -> usize {
    match bit {
        row::IS_READING => at::READING,
        _ => at::WAITING,
    }
}

/// Bytes of a body.
fn body_of(reply: &Reply) -> u64 {
    match reply {
        Reply::Data { data, .. } => data.len() as u64,
        Reply::File { file, .. } => file.len,
        _ => 0,
    }
}

/// The first status of a server's failure.
const FAILED: u16 = 500;
