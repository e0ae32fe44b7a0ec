//! `Backlog`: tasks that have put off their writes, so that many leave in a row.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Tasks that have put off their writes, so that many leave in a row: on a busy worker the peer's
/// side is then woken once, not for each, and Python's code runs without the kernel's in between
/// (`make bench`, fastapi-async: 49 to 41 µs of CPU per request).
pub(super) struct Backlog {
    keys: RefCell<Vec<usize>>,
    /// When the first one came, and when a task last ended.
    began: Cell<Instant>,
    checked: Cell<Instant>,
    /// Nothing is put off until then: tasks are too slow, or too quick.
    suspended: Cell<Instant>,
}

impl Backlog {
    /// An empty one.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            keys: RefCell::default(),
            began: Cell::new(now),
            checked: Cell::new(now),
            suspended: Cell::new(now),
        }
    }

    /// True unless tasks were too slow or too quick of late.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        now >= self.suspended.get()
    }

    /// Adds a task.
    pub(super) fn push(&self, key: usize) {
        let mut keys = self.keys.borrow_mut();
        if keys.is_empty() {
            let now = Instant::now();
            self.began.set(now);
            self.checked.set(now);
        }
        keys.push(key);
    }

    /// Takes all of them out.
    pub(super) fn take(&self) -> Vec<usize> {
        self.keys.take()
    }

    /// Looked at after every task. True if nobody must be kept waiting any longer.
    pub(super) fn is_due(&self) -> bool {
        let count = self.keys.borrow().len();
        if count == 0 {
            return false;
        }
        let now = Instant::now();
        let ran = now - self.checked.replace(now);
        let is_slow = ran > SLOW_TASK;
        if is_slow {
            let pause = (ran.min(SLOWEST) * SUSPENSION).max(LEAST_SUSPENSION);
            self.suspended.set(now + pause);
        }
        let waited = now - self.began.get();
        let is_quick = count == SAMPLE && waited < QUICK_SAMPLE;
        if is_quick {
            self.suspended.set(now + PAUSE);
        }
        is_slow || is_quick || count >= MOST_PUT_OFF || waited > LONGEST_WAIT
    }
}

/// Writes that are put off at a time, and how long the first of them waits for others.
const MOST_PUT_OFF: usize = 32;
const LONGEST_WAIT: Duration = Duration::from_micros(500);
/// A task that runs longer than this shows that others can't be waited for.
const SLOW_TASK: Duration = Duration::from_micros(250);
/// After a slow task nothing is put off for so many times its length, and a second at least: what
/// was put off had to wait for it, so that a client is late by this part of the time at most.
const SUSPENSION: u32 = 100;
const LEAST_SUSPENSION: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(1);
/// So many tasks in so short a time: the peer's side has no time to fall asleep in between.
const SAMPLE: usize = 8;
const QUICK_SAMPLE: Duration = Duration::from_micros(160);
const PAUSE: Duration = Duration::from_millis(20);
