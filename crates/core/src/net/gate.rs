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

use crate::runtime::load::Load;

/// See the module's documentation.
pub(super) struct Gate {
    load: Load,
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
    pub(super) fn new(load: Load) -> Self {
        Self {
            load,
            state: Cell::new(State::Open),
            rest: Cell::new(FIRST_REST),
        }
    }

    /// True if one more may be begun. `is_awaited` if somebody waits for that already.
    pub(super) fn is_open(&self, now: Instant, is_awaited: bool) -> bool {
        let state = match self.state.get() {
            State::Open => self.while_open(now),
            State::Closed { since } => self.while_closed(now, since, is_awaited),
            State::Resting { until } if until <= now => self.while_open(now),
            resting => resting,
        };
        self.state.set(state);
        !matches!(state, State::Closed { .. })
    }

    fn while_open(&self, now: Instant) -> State {
        match self.load.since(now, LOOK) {
            Some(share) if FULL.contains(&share) => State::Closed { since: now },
            _ => State::Open,
        }
    }

    fn while_closed(&self, now: Instant, since: Instant, is_awaited: bool) -> State {
        match self.load.since(now, TRIAL) {
            Some(share) if !STILL_FULL.contains(&share) => {}
            _ => return State::Closed { since },
        }
        if !is_awaited {
            return State::Open;
        }
        let was_right = now.saturating_duration_since(since) > self.rest.get();
        let rest = match was_right {
            true => FIRST_REST,
            false => LONGEST_REST.min(2 * self.rest.get()),
        };
        self.rest.set(rest);
        State::Resting { until: now + rest }
    }
}

/// Busy processors, more or less the one that Python code under the global interpreter lock can
/// use; waits for the lock and what the kernel does for other threads add to that. Code that does
/// without the lock gains by company.
const FULL: RangeInclusive<f64> = 0.95..=1.5;
const STILL_FULL: RangeInclusive<f64> = 0.9..=1.6;
/// What the load is judged by while the gate is open, and while it is closed.
const LOOK: Duration = Duration::from_millis(50);
const TRIAL: Duration = Duration::from_millis(10);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static USED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    struct Process {
        gate: Gate,
        now: Instant,
    }

    impl Process {
        fn new() -> Self {
            let now = Instant::now();
            let gate = Gate::new(Load::new(now, || USED.get()));
            Self { gate, now }
        }

        /// Whether the gate is open after a time in which that share of a processor was used.
        fn is_open_after(&mut self, passed: Duration, share: f64, is_awaited: bool) -> bool {
            self.now += passed;
            USED.set(USED.get() + passed.mul_f64(share));
            self.gate.is_open(self.now, is_awaited)
        }
    }

    #[test]
    fn it_is_closed_while_one_processor_is_busy() {
        let mut process = Process::new();
        assert!(process.is_open_after(LOOK, 0.9, false));
        assert!(process.is_open_after(LOOK, 2.0, false));
        assert!(
            process.is_open_after(LOOK / 2, 1.0, false),
            "that is too short"
        );
        assert!(!process.is_open_after(LOOK / 2, 1.0, false));
        for _ in 0..1000 {
            assert!(!process.is_open_after(TRIAL, 1.0, true));
        }
        assert!(!process.is_open_after(TRIAL / 2, 0.0, true));
        assert!(process.is_open_after(TRIAL / 2, 0.0, false));
        assert!(
            !process.is_open_after(LOOK, 1.0, false),
            "nobody had waited in vain"
        );
    }

    #[test]
    fn waiting_in_vain_opens_it_for_longer_each_time() {
        let mut process = Process::new();
        assert!(!process.is_open_after(LOOK, 1.0, false));
        for rest in [2, 4, 8, 16, 32, 60, 60] {
            let rest = Duration::from_secs(rest);
            assert!(process.is_open_after(TRIAL, 0.5, true));
            assert!(process.is_open_after(rest - TRIAL, 1.0, true));
            assert!(!process.is_open_after(TRIAL, 1.0, true));
        }
    }

    #[test]
    fn what_was_right_for_long_is_tried_again_soon() {
        let mut process = Process::new();
        assert!(!process.is_open_after(LOOK, 1.0, true));
        assert!(process.is_open_after(TRIAL, 0.5, true));
        assert_eq!(process.gate.rest.get(), 2 * FIRST_REST);
        assert!(!process.is_open_after(2 * FIRST_REST, 1.0, true));
        assert!(!process.is_open_after(3 * FIRST_REST, 1.0, true));
        assert!(process.is_open_after(TRIAL, 0.5, true));
        assert_eq!(process.gate.rest.get(), FIRST_REST);
    }
}
