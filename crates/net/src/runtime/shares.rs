//! `Shares`: the slices of a turn's tasks.
//!
//! Tasks that have not given way before have one together: many of them may want more than a slice in the same turn, and
//! those that ask for little wait for all of them.

use std::cell::Cell;
use std::time::Duration;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Shares {
    /// Time of this turn that such tasks have used which then gave way.
    used: Cell<Duration>,
    /// Tasks that have not given way ran in this turn.
    has_others: Cell<bool>,
}

impl Shares {
    /// A turn begins.
    pub(super) fn begin(&self) {
        self.used.set(Duration::ZERO);
        self.has_others.set(false);
    }

    /// A task runs that has not given way before.
    pub(super) fn note_other(&self) {
        self.has_others.set(true);
    }

    /// Time of a task of which it is known whether it has given way.
    pub(super) fn next(&self, gave_way: bool) -> Duration {
        match (gave_way, self.has_others.get()) {
            (true, false) => SLICE,
            (true, true) => SLICE / 2,
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
