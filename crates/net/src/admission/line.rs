//! `Line`: the bounds of the line in front of the permits: how many requests wait in it, and for how long.
//!
//! Against overload the line has two patiences (B. Maurer, "Fail at Scale", ACM Queue 13(8), "Controlled Delay"; after
//! CoDel, RFC 8289). A line that is empty now and then takes up bursts, and each request in it may wait for the
//! `interval`. One that has not been empty for that long is a standing queue: to wait in it delays everybody and
//! serves nobody, so new requests wait for the `target` only and are told at once.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::admission::queue::Queue;
use crate::limit_counts::Limit;

/// Bounds of the line.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LineLimits {
    /// Requests that wait for one of the permits to be given back; `None` for any number.
    pub max_queued: Option<usize>,
    /// Time that each of them waits; `None` for any.
    pub timeout: Option<Duration>,
    /// The same by how long the line has stood; `None` for any.
    pub overload: Option<OverloadLimits>,
}

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverloadLimits {
    /// The time that a request waits in a standing queue.
    pub target: Duration,
    /// The time after which a line is one, and that a request waits in any other.
    pub interval: Duration,
}

/// See the module's documentation.
pub(crate) struct Line {
    limits: LineLimits,
    /// The last time at which a request came and none waited.
    emptied: Cell<Option<Instant>>,
}

/// A place in the line: until when it is kept, and the limit that ends it.
pub(crate) type Patience = Option<(Instant, Limit)>;

impl Line {
    pub(crate) fn new(limits: LineLimits) -> Self {
        Self {
            limits,
            emptied: Cell::new(None),
        }
    }

    /// A request has come at `now`, before it asks `queue` for a permit.
    pub(crate) fn note(&self, queue: &Queue, now: Instant) {
        if self.limits.overload.is_some() && !queue.has_line() {
            self.emptied.set(Some(now));
        }
    }

    /// How long the request that has come last may wait.
    ///
    /// # Errors
    /// The limit for which it may not wait at all.
    pub(crate) fn join(&self, queue: &Queue, now: Instant) -> Result<Patience, Limit> {
        let limits = &self.limits;
        if limits.max_queued.is_some_and(|most| queue.exceeds(most)) {
            return Err(Limit::MaxQueuedRequests);
        }
        let timeout = limits.timeout.map(|time| (time, Limit::QueueTimeout));
        let overload = limits.overload.map(|overload| {
            let emptied = self.emptied.get().unwrap_or(now);
            let stands = now.saturating_duration_since(emptied) > overload.interval;
            let time = match stands {
                true => overload.target,
                false => overload.interval,
            };
            (time, Limit::Overload)
        });
        let shortest = [timeout, overload]
            .into_iter()
            .flatten()
            .min_by_key(|(time, _)| *time);
        Ok(shortest.and_then(|(time, limit)| Some((now.checked_add(time)?, limit))))
    }
}
