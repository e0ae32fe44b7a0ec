//! `Backlog`: tasks that have put off their writes, so that many leave in a row.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Tasks that have put off their writes, so that many leave in a row: on a busy worker the peer's
/// side is then woken once, not for each, and Python's code runs without the kernel's in between.
///
/// To wake a process on another core costs some 15 µs where that needs an interrupt between virtual
/// ones (`make bench` there: fastapi-async 90 to 72 µs of CPU per request, asgi-10k 10.6 to 9.6, and
/// asgi-sleep, whose responses are made outside of turns, 17.3 to 15.9).
#[derive(Default)]
pub(super) struct Backlog {
    keys: RefCell<Vec<usize>>,
    /// When the first one was put off, and when a task last ended.
    times: Cell<Option<(Instant, Instant)>>,
    /// Nothing is put off until then: a task was slow.
    suspended: Cell<Option<Instant>>,
    /// So many times nothing is put off outside a turn: nothing else came the last time.
    skips: Cell<u32>,
}

impl Backlog {
    /// True unless tasks were too slow of late.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.suspended.get().is_none_or(|until| until <= now)
    }

    /// True if no task waits.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.borrow().is_empty()
    }

    /// Adds a task.
    pub(super) fn push(&self, key: usize) {
        self.keys.borrow_mut().push(key);
    }

    /// True if a task that runs outside a turn may put its writes off until the next one, which comes
    /// when the Python code that is ready now has run: more of it may answer a request.
    pub(super) fn may_gather(&self) -> bool {
        let skips = self.skips.get();
        self.skips.set(skips.saturating_sub(1));
        skips == 0
    }

    /// To be called when that turn has come, if any task waits.
    pub(super) fn note_gathered(&self, now: Instant) {
        // For how long the Python code took.
        let _ = self.is_due(now);
        if self.keys.borrow().len() == 1 {
            self.skips.set(SKIPS);
        }
    }

    /// Takes all of them out.
    pub(super) fn take(&self) -> Vec<usize> {
        self.times.set(None);
        self.keys.take()
    }

    /// To be called after every task, while any waits. True if they must not be kept waiting longer.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let (began, checked) = self.times.get().unwrap_or((now, now));
        self.times.set(Some((began, now)));
        let ran = now - checked;
        let is_slow = ran > SLOW_TASK;
        if is_slow {
            self.suspended
                .set(Some(now + ran.min(SLOWEST) * SUSPENSION));
        }
        is_slow || now - began > LONGEST_WAIT || self.keys.borrow().len() >= MOST_PUT_OFF
    }
}

/// Writes that are put off at a time, and how long the first of them waits for others.
const MOST_PUT_OFF: usize = 32;
const LONGEST_WAIT: Duration = Duration::from_millis(1);
/// A task that runs longer than this shows that others can't be waited for.
const SLOW_TASK: Duration = Duration::from_micros(500);
/// After a slow task nothing is put off for so many times its length: what was put off had to wait
/// for it, so that a client is late by this part of the time at most.
const SUSPENSION: u32 = 100;
const SLOWEST: Duration = Duration::from_secs(1);
/// What waits for a turn in vain costs that turn.
const SKIPS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_waits_for_a_moment_only() {
        let (backlog, start) = (Backlog::default(), Instant::now());
        backlog.push(7);
        assert!(!backlog.is_due(start));
        backlog.push(8);
        assert!(!backlog.is_due(start + LONGEST_WAIT / 2));
        assert!(!backlog.is_due(start + LONGEST_WAIT));
        assert!(backlog.is_due(start + LONGEST_WAIT + Duration::from_nanos(1)));
        assert_eq!(backlog.take(), [7, 8]);
        // The next one begins anew.
        backlog.push(9);
        assert!(!backlog.is_due(start + 9 * LONGEST_WAIT));
        assert!(backlog.is_open(start + 9 * LONGEST_WAIT));
    }

    #[test]
    fn a_row_has_an_end() {
        let (backlog, now) = (Backlog::default(), Instant::now());
        for key in 1..MOST_PUT_OFF {
            backlog.push(key);
            assert!(!backlog.is_due(now));
        }
        backlog.push(0);
        assert!(backlog.is_due(now));
    }

    #[test]
    fn who_was_alone_does_not_wait_the_next_times() {
        let (backlog, now) = (Backlog::default(), Instant::now());
        assert!(backlog.may_gather());
        backlog.push(1);
        backlog.note_gathered(now);
        assert_eq!(backlog.take(), [1]);
        for _ in 0..SKIPS {
            assert!(!backlog.may_gather());
        }
        assert!(backlog.may_gather());
        backlog.push(1);
        backlog.push(2);
        backlog.note_gathered(now);
        assert!(backlog.may_gather());
    }

    #[test]
    fn slow_code_between_turns_is_not_waited_for_again() {
        let (backlog, start) = (Backlog::default(), Instant::now());
        backlog.push(1);
        assert!(!backlog.is_due(start));
        let end = start + 2 * SLOW_TASK;
        backlog.note_gathered(end);
        assert!(!backlog.is_open(end));
    }

    #[test]
    fn a_slow_task_is_not_waited_for_again() {
        let (backlog, start) = (Backlog::default(), Instant::now());
        backlog.push(1);
        assert!(!backlog.is_due(start));
        let end = start + 4 * SLOW_TASK;
        assert!(backlog.is_due(end));
        assert!(!backlog.is_open(end));
        let resumed = end + 4 * SLOW_TASK * SUSPENSION;
        assert!(!backlog.is_open(resumed - Duration::from_nanos(1)));
        assert!(backlog.is_open(resumed));
    }
}
