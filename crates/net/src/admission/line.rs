//! `Line`: the bounds of the line in front of the permits: how many requests wait in it, and for how long.
//!
//! Against overload the line has two patiences (B. Maurer, "Fail at Scale", ACM Queue 13(8), "Controlled Delay"; after
//! CoDel, RFC 8289). A line that is empty now and then takes up bursts, and each request in it may wait for the
//! `interval`. One that has not been empty for half of that is a standing queue: to wait in it delays everybody and
//! serves nobody, so new requests wait for the `target` only and are told at once. Those that came before are served in
//! their time even if three times too many come. It stands until it has been empty and nobody was told for an `interval`.
//!
//! Requests wait in the socket and in the turn as well, behind calls that keep the thread busy; that counts like the
//! line. So that they wait in the line, where they can be told, the calls of a turn take half of the target
//! (`admission/pace.rs`).

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::admission::queue::{Permit, Place, Queue, Share};
use crate::limit_counts::Limit;
use crate::runtime::reactor::TaskHandle;

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

impl LineLimits {
    /// The time that the calls of a turn should take at most.
    pub(crate) fn longest_turn(&self) -> Option<Duration> {
        self.overload.map(|overload| overload.target / 2)
    }
}

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverloadLimits {
    /// The time that a request waits in a standing queue.
    pub target: Duration,
    /// The time that a request waits in any other. A line that has stood for half of it is a standing queue.
    pub interval: Duration,
}

/// See the module's documentation.
pub(crate) struct Line {
    limits: LineLimits,
    /// The last time at which nobody had to wait for long.
    emptied: Cell<Option<Instant>>,
    /// The last time at which a request was turned away because of the overload.
    refused: Cell<Option<Instant>>,
    /// The last turn in which requests came, by its begin, and the longest time that one of them waited in it.
    turn: Cell<Option<(Instant, Duration)>>,
}

/// A request's wait for its permit.
#[derive(Default)]
pub(crate) struct Wait {
    place: Place,
    /// The permits of its connection, if that carries many requests.
    share: Option<Arc<Share>>,
    patience: Patience,
    /// The time for which it has waited to be read, if that is known.
    unread: Duration,
}

/// Until when a request waits, and the limit that ends this.
#[derive(Clone, Copy, Default)]
enum Patience {
    /// It has not come to the line yet.
    #[default]
    Untold,
    Endless,
    Until(Instant, Limit),
}

impl Wait {
    /// The wait of a request whose connection carries others, which have `share` together.
    pub(crate) fn sharing(share: &Arc<Share>) -> Self {
        Self {
            share: Some(Arc::clone(share)),
            ..Self::default()
        }
    }

    /// The time at which [`Line::poll`] is to be called again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.patience {
            Patience::Until(at, _) => Some(at),
            Patience::Untold | Patience::Endless => None,
        }
    }

    /// Notes for how long the request has waited to be read.
    pub(crate) fn note_unread(&mut self, time: Duration) {
        self.unread = time;
    }

    fn expired(&self, now: impl FnOnce() -> Instant) -> Option<Limit> {
        match self.patience {
            Patience::Until(at, limit) if at <= now() => Some(limit),
            _ => None,
        }
    }
}

impl Line {
    pub(crate) fn new(limits: LineLimits) -> Self {
        Self {
            limits,
            emptied: Cell::new(None),
            refused: Cell::new(None),
            turn: Cell::new(None),
        }
    }

    /// True if it matters for how long a request has waited to be read.
    pub(crate) fn asks_unread(&self) -> bool {
        self.limits.overload.is_some()
    }

    /// Gives a permit of `queue`, or the limit for which the request is to be turned away.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        wait: &mut Wait,
        queue: &Queue,
        handle: &TaskHandle,
    ) -> Poll<Result<Permit, Limit>> {
        let polled = self.poll_permit(cx, wait, queue, handle);
        if let Poll::Ready(Err(Limit::Overload)) = polled {
            self.refused.set(Some(handle.now()));
        }
        polled
    }

    fn poll_permit(
        &self,
        cx: &mut Context<'_>,
        wait: &mut Wait,
        queue: &Queue,
        handle: &TaskHandle,
    ) -> Poll<Result<Permit, Limit>> {
        let is_new = matches!(wait.patience, Patience::Untold);
        let now = handle.now();
        let mut came = now;
        if is_new && let Some(overload) = &self.limits.overload {
            queue.begin_turn(handle.turn(), now);
            match self.waited(overload, queue, handle, wait.unread) {
                Some(waited) => came = handle.time().checked_sub(waited).unwrap_or(now),
                None => return Poll::Ready(Err(Limit::Overload)),
            }
        }
        let share = wait.share.as_ref();
        if let Poll::Ready(permit) = queue.poll_acquire(cx, &mut wait.place, now, share) {
            // This thread may have been busy past the deadline.
            let expired = wait.expired(|| handle.time());
            return Poll::Ready(expired.map_or(Ok(permit), Err));
        }
        if is_new {
            if let Some(most) = self.limits.max_queued
                && queue.exceeds(most)
            {
                return Poll::Ready(Err(Limit::MaxQueuedRequests));
            }
            wait.patience = self.patience(came);
        }
        match wait.expired(|| now) {
            Some(limit) => Poll::Ready(Err(limit)),
            None => Poll::Pending,
        }
    }

    /// The time that a request which has come has waited by now, behind calls that keep this thread busy; `None` if that
    /// was too long already.
    fn waited(
        &self,
        overload: &OverloadLimits,
        queue: &Queue,
        handle: &TaskHandle,
        unread: Duration,
    ) -> Option<Duration> {
        let (begun, now) = (handle.now(), handle.time());
        let waited = now.saturating_duration_since(begun).max(unread);
        let longest = match self.turn.get() {
            Some((turn, longest)) if turn == begun => longest.max(waited),
            before => {
                let was_short = before.is_none_or(|(_, longest)| longest < overload.target);
                // A line that is empty because requests were turned away says nothing.
                let refused = self.refused.get();
                let is_over = refused.is_none_or(|at| at + overload.interval < now);
                if was_short && is_over && !queue.has_line() {
                    self.emptied.set(Some(now));
                }
                waited
            }
        };
        self.turn.set(Some((begun, longest)));
        let came = now.checked_sub(waited).unwrap_or(begun);
        (waited <= self.patience_against(overload, came)).then_some(waited)
    }

    fn patience_against(&self, overload: &OverloadLimits, now: Instant) -> Duration {
        let emptied = self.emptied.get().unwrap_or(now);
        let stands = now.saturating_duration_since(emptied) > overload.interval / 2;
        match stands {
            true => overload.target,
            false => overload.interval,
        }
    }

    /// That of a request that came at `came`.
    fn patience(&self, came: Instant) -> Patience {
        let limits = &self.limits;
        let timeout = limits.timeout.map(|time| (time, Limit::QueueTimeout));
        let overload = limits
            .overload
            .map(|overload| (self.patience_against(&overload, came), Limit::Overload));
        let shortest = [timeout, overload]
            .into_iter()
            .flatten()
            .min_by_key(|(time, _)| *time);
        shortest
            .and_then(|(time, limit)| Some(Patience::Until(came.checked_add(time)?, limit)))
            .unwrap_or(Patience::Endless)
    }
}
