//! `Gate`: whether more exchanges are begun beside those that are active, or wait for them to end.
//!
//! Where the process can't do more than it does, what is begun beside others is finished no sooner,
//! and all of it together no longer fits into the processor's caches (`make bench`, fastapi-sync
//! with 64 connections: 132 µs with 16 active ones, 159 with all). Whether that is so shows when it
//! is tried: if the processor has time while others wait for the active ones, those wait as well,
//! and the gate is left open for a good while.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::admission::load::{Answer, Load};

/// See the module's documentation.
pub(crate) struct Gate {
    /// Absent where it is never closed.
    load: Option<Load>,
    state: Cell<State>,
    /// For how long it was left open the last time.
    rest: Cell<Duration>,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    Closed {
        since: Instant,
    },
    /// Open until then, whatever the load.
    Resting {
        until: Instant,
    },
}

impl Gate {
    pub(crate) fn new(load: Option<Load>) -> Self {
        Self {
            load,
            state: Cell::new(State::Open),
            rest: Cell::new(FIRST_REST),
        }
    }

    /// True if one more may be begun. `is_awaited` if somebody waits for that already.
    pub(crate) fn is_open(&self, now: Instant, is_awaited: bool) -> bool {
        let Some(load) = &self.load else {
            return true;
        };
        let state = match self.state.get() {
            State::Open => while_open(load, now),
            State::Closed { since } => self.while_closed(load, now, since, is_awaited),
            State::Resting { until } if until <= now => while_open(load, now),
            resting => resting,
        };
        self.state.set(state);
        !matches!(state, State::Closed { .. })
    }

    fn while_closed(&self, load: &Load, now: Instant, since: Instant, is_awaited: bool) -> State {
        match load.since(now, TRIAL) {
            Answer::TooSoon => State::Closed { since },
            Answer::Shares { process, .. } if STILL_FULL.contains(&process) => {
                State::Closed { since }
            }
            Answer::Shares { .. } if is_awaited => self.rest(now, since),
            // Nobody has waited, or even come.
            Answer::Shares { .. } | Answer::TooLate => State::Open,
        }
    }

    fn rest(&self, now: Instant, since: Instant) -> State {
        let was_right = now.saturating_duration_since(since) > self.rest.get();
        let rest = match was_right {
            true => FIRST_REST,
            false => LONGEST_REST.min(2 * self.rest.get()),
        };
        self.rest.set(rest);
        State::Resting { until: now + rest }
    }
}

fn while_open(load: &Load, now: Instant) -> State {
    match load.since(now, LOOK) {
        Answer::Shares { process, thread } if FULL.contains(&process) && thread >= OWN => {
            State::Closed { since: now }
        }
        _ => State::Open,
    }
}

/// Busy processors, more or less the one that Python code under the global interpreter lock can
/// use; waits for the lock and what the kernel does for other threads add to that. Code that does
/// without the lock gains by company.
const FULL: RangeInclusive<f64> = 0.95..=1.5;
const STILL_FULL: RangeInclusive<f64> = 0.9..=1.6;
/// The event loop's part of it, or it is not requests that the process is busy with.
const OWN: f64 = 0.25;
/// What the load is judged by while the gate is open, and while it is closed.
const LOOK: Duration = Duration::from_millis(50);
const TRIAL: Duration = Duration::from_millis(10);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::admission::load::Sample;

    thread_local! {
        static SAMPLE: Cell<Sample> = Cell::new(Sample {
            at: Instant::now(),
            process: Duration::ZERO,
            thread: Duration::ZERO,
        });
    }

    /// A gate of a process whose time and work are those of `work`.
    pub(crate) fn gate() -> Gate {
        Gate::new(Some(Load::new(|| SAMPLE.get())))
    }

    /// Lets time pass, in which the process and its loop use such shares of a processor. What time
    /// it is then.
    pub(crate) fn work(passed: Duration, process: f64, thread: f64) -> Instant {
        let mut sample = SAMPLE.get();
        sample.at += passed;
        sample.process += passed.mul_f64(process);
        sample.thread += passed.mul_f64(thread);
        SAMPLE.set(sample);
        sample.at
    }

    fn is_open_after(gate: &Gate, passed: Duration, share: f64, is_awaited: bool) -> bool {
        gate.is_open(work(passed, share, share / 2.0), is_awaited)
    }

    #[test]
    fn it_is_closed_while_one_processor_is_busy() {
        let gate = gate();
        assert!(is_open_after(&gate, LOOK, 0.9, false));
        assert!(is_open_after(&gate, LOOK, 2.0, false));
        assert!(
            is_open_after(&gate, LOOK / 2, 1.0, false),
            "that is too short"
        );
        assert!(!is_open_after(&gate, LOOK / 2, 1.0, false));
        for _ in 0..1000 {
            assert!(!is_open_after(&gate, TRIAL, 1.0, true));
        }
        assert!(!is_open_after(&gate, TRIAL / 2, 0.0, true));
        assert!(is_open_after(&gate, TRIAL / 2, 0.0, false));
        assert!(
            !is_open_after(&gate, LOOK, 1.0, false),
            "nobody had waited in vain"
        );
    }

    #[test]
    fn what_the_loop_has_no_part_in_does_not_close_it() {
        let gate = gate();
        assert!(gate.is_open(work(LOOK, 1.0, 0.1), false));
        assert!(!gate.is_open(work(LOOK, 1.0, 0.5), false));
        assert!(Gate::new(None).is_open(work(LOOK, 1.0, 0.5), false));
    }

    #[test]
    fn what_is_long_ago_says_nothing() {
        let gate = gate();
        assert!(is_open_after(&gate, 100 * LOOK, 1.0, false));
        assert!(!is_open_after(&gate, LOOK, 1.0, false));
        assert!(is_open_after(&gate, 100 * LOOK, 1.0, true));
        assert!(!is_open_after(&gate, LOOK, 1.0, true), "it did not rest");
    }

    #[test]
    fn waiting_in_vain_opens_it_for_longer_each_time() {
        let gate = gate();
        for rest in [2, 4, 8, 16, 32, 60, 60] {
            let rest = Duration::from_secs(rest);
            assert!(!is_open_after(&gate, LOOK, 1.0, true));
            assert!(is_open_after(&gate, TRIAL, 0.5, true));
            assert!(is_open_after(&gate, rest - TRIAL, 1.0, true));
            assert!(is_open_after(&gate, TRIAL, 1.0, true), "that is long ago");
        }
    }

    #[test]
    fn what_was_right_for_long_is_tried_again_soon() {
        let gate = gate();
        assert!(!is_open_after(&gate, LOOK, 1.0, true));
        assert!(is_open_after(&gate, TRIAL, 0.5, true));
        assert_eq!(gate.rest.get(), 2 * FIRST_REST);
        assert!(is_open_after(&gate, 2 * FIRST_REST, 1.0, true));
        let mut now = work(LOOK, 1.0, 1.0);
        let end = now + 3 * FIRST_REST;
        while now < end {
            assert!(!gate.is_open(now, true));
            now = work(TRIAL, 1.0, 1.0);
        }
        assert!(!gate.is_open(now, true));
        assert!(is_open_after(&gate, TRIAL, 0.5, true));
        assert_eq!(gate.rest.get(), FIRST_REST);
    }
}
