//! `Shares`: the slices of a turn's tasks.
//!
//! Usual tasks that want more than a slice have one together: many may want that in the same turn, and those that ask
//! for little wait for all of them. The tasks behind them have together half as much of a turn as has passed since they
//! ran last: a third of the time, if others want the rest. One of them has no more than half a slice of it.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Shares {
    /// Time of this turn that usual tasks have used which then gave way.
    used: Cell<Duration>,
    /// Usual tasks ran in this turn.
    has_others: Cell<bool>,
    /// Time of this turn for one of the tasks behind them.
    behind: Cell<Duration>,
    /// When those ended to run.
    ended: Cell<Option<Instant>>,
}

impl Shares {
    /// A turn begins.
    pub(super) fn begin(&self) {
        self.used.set(Duration::ZERO);
        self.has_others.set(false);
    }

    /// A usual task runs.
    pub(super) fn note_other(&self) {
        self.has_others.set(true);
    }

    /// The tasks behind the usual ones run from `now` on. Returns until when.
    pub(super) fn begin_behind(&self, now: Instant) -> Instant {
        let passed = self.ended.get().map(|at| now.saturating_duration_since(at));
        let time = (passed.unwrap_or(SLICE) / 2).max(LEAST);
        self.behind.set(time.min(SLICE / 2));
        now + time
    }

    /// They have run.
    pub(super) fn end_behind(&self, now: Instant) {
        self.ended.set(Some(now));
    }

    /// Time of a task that runs behind the usual ones, or of one of those.
    pub(super) fn next(&self, is_behind: bool) -> Duration {
        match (is_behind, self.has_others.get()) {
            (true, false) => SLICE,
            (true, true) => self.behind.get().max(LEAST),
            (false, _) => (SLICE / 2).saturating_sub(self.used.get()).max(LEAST),
        }
    }

    pub(super) fn note_used(&self, time: Duration) {
        self.used.set(self.used.get() + time);
    }
}

/// Long enough for fifty small requests on one connection.
pub(super) const SLICE: Duration = Duration::from_micros(500);
/// What a task has in any case: ten small requests, as many as a page asks for at once.
pub(super) const LEAST: Duration = Duration::from_micros(125);
