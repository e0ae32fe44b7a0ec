//! `DeferredWrites`: tasks that write later in their turn, so that many writes leave in a row.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Tasks whose writes wait for those of others: on a busy worker the client's side is woken once
/// for all of them, and Python's code runs without the kernel's in between.
///
/// To wake a process on another core costs some 15 µs where that needs an interrupt between virtual
/// ones (`make bench` there: fastapi-async 90 to 72 µs of CPU per request, asgi-10k 10.6 to 9.6,
/// and asgi-sleep, whose responses are made outside of turns, 17.3 to 15.9).
#[derive(Default)]
pub(super) struct DeferredWrites {
    keys: RefCell<Vec<usize>>,
    /// Calls of `push`. A connection with several streams waits once, with a response of each.
    pushes: Cell<usize>,
    /// When the first of them was deferred, and when a task or Python's code last ended.
    times: Cell<Option<(Instant, Instant)>>,
    /// Nothing is deferred until then: a task was slow.
    suspended: Cell<Option<Instant>>,
    /// How often nothing is deferred outside a turn: nothing else came the last time.
    skips: Cell<u32>,
}

impl DeferredWrites {
    /// True unless tasks were too slow of late.
    pub(super) fn is_allowed(&self, now: Instant) -> bool {
        self.suspended.get().is_none_or(|until| until <= now)
    }

    /// True if no task waits.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.borrow().is_empty()
    }

    /// Adds a task, or another response of the one that was added last.
    pub(super) fn push(&self, key: usize) {
        let mut keys = self.keys.borrow_mut();
        if keys.last() != Some(&key) {
            keys.push(key);
        }
        self.pushes.set(self.pushes.get() + 1);
    }

    /// Begins to run tasks outside a turn. True if they may defer their writes until the next one,
    /// which comes when the Python code that is ready now has run: more of it may answer a request.
    #[must_use]
    pub(super) fn begin_gathering(&self) -> bool {
        let skips = self.skips.get();
        self.skips.set(skips.saturating_sub(1));
        skips == 0
    }

    /// Notes that the turn after tasks outside of one has come, while any task waits.
    pub(super) fn end_gathering(&self, now: Instant) {
        // Python code between turns counts like a task.
        self.note_duration(now);
        if self.pushes.get() == 1 {
            self.skips.set(SKIPS);
        }
    }

    /// Takes all of them out.
    pub(super) fn take(&self) -> Vec<usize> {
        self.times.set(None);
        self.pushes.set(0);
        self.keys.take()
    }

    /// Notes that a task, or Python's code, has ended, while any task waits.
    pub(super) fn note_duration(&self, now: Instant) {
        let (began, ended) = self.times.get().unwrap_or((now, now));
        self.times.set(Some((began, now)));
        let ran = now.saturating_duration_since(ended);
        if ran > SLOW_TASK {
            let until = now + ran.min(SLOWEST) * SUSPENSION;
            self.suspended.set(Some(until));
        }
    }

    /// True if the tasks must wait no longer.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let is_late = |(began, _)| now.saturating_duration_since(began) > LONGEST_WAIT;
        !self.is_allowed(now)
            || self.times.get().is_some_and(is_late)
            || self.keys.borrow().len() >= MOST_DEFERRED
    }
}

/// Writes that are deferred at a time, and how long the first of them waits for others.
const MOST_DEFERRED: usize = 32;
const LONGEST_WAIT: Duration = Duration::from_millis(1);
/// A task that runs longer than this shows that others cannot be waited for.
const SLOW_TASK: Duration = Duration::from_micros(500);
/// After a slow task nothing is deferred for so many times its length: what was deferred had to
/// wait for it, so that a client is late by this part of the time at most.
const SUSPENSION: u32 = 100;
const SLOWEST: Duration = Duration::from_secs(1);
/// Writes outside turns that are not deferred after one waited in vain, which costs a turn.
const SKIPS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_due_after(writes: &DeferredWrites, now: Instant) -> bool {
        writes.note_duration(now);
        writes.is_due(now)
    }

    #[test]
    fn the_first_waits_for_a_moment_only() {
        let (writes, start) = (DeferredWrites::default(), Instant::now());
        writes.push(7);
        assert!(!is_due_after(&writes, start));
        writes.push(8);
        assert!(!is_due_after(&writes, start + LONGEST_WAIT / 2));
        assert!(!is_due_after(&writes, start + LONGEST_WAIT));
        assert!(is_due_after(
            &writes,
            start + LONGEST_WAIT + Duration::from_nanos(1)
        ));
        assert_eq!(writes.take(), [7, 8]);
        // The next one begins anew.
        writes.push(9);
        assert!(!is_due_after(&writes, start + 9 * LONGEST_WAIT));
        assert!(writes.is_allowed(start + 9 * LONGEST_WAIT));
    }

    #[test]
    fn a_row_has_an_end() {
        let (writes, now) = (DeferredWrites::default(), Instant::now());
        for key in 1..MOST_DEFERRED {
            writes.push(key);
            assert!(!is_due_after(&writes, now));
        }
        writes.push(0);
        assert!(is_due_after(&writes, now));
    }

    #[test]
    fn a_task_that_was_alone_does_not_wait_the_next_times() {
        let (writes, now) = (DeferredWrites::default(), Instant::now());
        assert!(writes.begin_gathering());
        writes.push(1);
        writes.end_gathering(now);
        assert_eq!(writes.take(), [1]);
        for _ in 0..SKIPS {
            assert!(!writes.begin_gathering());
        }
        assert!(writes.begin_gathering());
        writes.push(1);
        writes.push(2);
        writes.end_gathering(now);
        assert!(writes.begin_gathering());
    }

    #[test]
    fn streams_of_one_connection_do_not_wait_in_vain() {
        let (writes, now) = (DeferredWrites::default(), Instant::now());
        assert!(writes.begin_gathering());
        writes.push(1);
        writes.push(1);
        writes.end_gathering(now);
        assert_eq!(writes.take(), [1]);
        assert!(writes.begin_gathering());
        writes.push(1);
        writes.end_gathering(now);
        assert!(!writes.begin_gathering());
    }

    #[test]
    fn slow_code_between_turns_is_not_waited_for_again() {
        let (writes, start) = (DeferredWrites::default(), Instant::now());
        writes.push(1);
        assert!(!is_due_after(&writes, start));
        let end = start + 2 * SLOW_TASK;
        writes.end_gathering(end);
        assert!(!writes.is_allowed(end));
    }

    #[test]
    fn a_slow_task_is_not_waited_for_again() {
        let (writes, start) = (DeferredWrites::default(), Instant::now());
        writes.push(1);
        assert!(!is_due_after(&writes, start));
        let end = start + 4 * SLOW_TASK;
        assert!(is_due_after(&writes, end));
        assert!(!writes.is_allowed(end));
        let resumed = end + 4 * SLOW_TASK * SUSPENSION;
        assert!(!writes.is_allowed(resumed - Duration::from_nanos(1)));
        assert!(writes.is_allowed(resumed));
    }
}
