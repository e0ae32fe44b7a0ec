//! `AdaptiveLimit`: decides whether more requests start beside those that run, or wait for them to
//! end.
//!
//! Once the process keeps a whole processor busy (one GIL), starting more requests finishes none
//! sooner; it only evicts the caches of those that run. So the limit applies
//! (docs/decisions/005-admission-by-an-adaptive-limit.md has the figures). If the processor then
//! idles while requests wait, the limit was wrong: it is lifted for 1 s, then 2 s, up to 60 s.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::runtime::load::{Answer, Load};

/// See the module's documentation.
pub(crate) struct AdaptiveLimit {
    /// The load; absent where the limit never applies.
    load: Option<Load>,
    state: Cell<State>,
    /// The time for which the limit was lifted last.
    rest: Cell<Duration>,
}

#[derive(Clone, Copy)]
enum State {
    /// Any number may start.
    Off,
    /// Requests wait for others to end.
    Applied { since: Instant },
    /// Any number may start until this time, whatever the load.
    Lifted { until: Instant },
}

impl AdaptiveLimit {
    /// A limit by what `load` says; without one, it never applies.
    pub(crate) fn new(load: Option<Load>) -> Self {
        Self {
            load,
            state: Cell::new(State::Off),
            rest: Cell::new(FIRST_REST),
        }
    }

    /// False where the limit never applies.
    pub(crate) fn has_load(&self) -> bool {
        self.load.is_some()
    }

    /// Follows the load up to `now`; false if the limit applies. `is_awaited` says that a request
    /// waits for it already.
    #[must_use]
    pub(crate) fn follow(&self, now: Instant, is_awaited: bool) -> bool {
        let Some(load) = &self.load else {
            return true;
        };
        let state = match self.state.get() {
            State::Off => while_off(load, now),
            State::Applied { since } => self.while_applied(load, now, since, is_awaited),
            State::Lifted { until } if until <= now => while_off(load, now),
            lifted => lifted,
        };
        self.state.set(state);
        !matches!(state, State::Applied { .. })
    }

    fn while_applied(&self, load: &Load, now: Instant, since: Instant, is_awaited: bool) -> State {
        match load.measure(now, TRIAL) {
            Answer::TooSoon => State::Applied { since },
            Answer::Shares { process, .. } if STILL_FULL.contains(&process) => {
                State::Applied { since }
            }
            Answer::Shares { .. } if is_awaited => self.lift(now, since),
            // No request has waited, or none has come.
            Answer::Shares { .. } | Answer::TooLate => State::Off,
        }
    }

    fn lift(&self, now: Instant, since: Instant) -> State {
        let was_right = now.saturating_duration_since(since) > self.rest.get();
        let rest = match was_right {
            true => FIRST_REST,
            false => LONGEST_REST.min(2 * self.rest.get()),
        };
        self.rest.set(rest);
        State::Lifted { until: now + rest }
    }
}

fn while_off(load: &Load, now: Instant) -> State {
    match load.measure(now, LOOK) {
        Answer::Shares { process, thread } if FULL.contains(&process) && thread >= OWN => {
            State::Applied { since: now }
        }
        _ => State::Off,
    }
}

/// Processors that the process keeps busy when it is limited by its GIL: about one. Waits for the
/// GIL and the kernel's work for other threads add to that. Code that runs without the GIL is
/// faster with more requests beside it, and uses more.
const FULL: RangeInclusive<f64> = 0.95..=1.5;
const STILL_FULL: RangeInclusive<f64> = 0.9..=1.6;
/// Least part of a processor that the event loop's thread uses. Below it, the process is busy with
/// other work than requests.
const OWN: f64 = 0.25;
/// The spans of measurement while the limit is off, and while it applies.
const LOOK: Duration = Duration::from_millis(50);
const TRIAL: Duration = Duration::from_millis(10);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::runtime::load::Sample;

    thread_local! {
        static SAMPLE: Cell<Sample> = Cell::new(Sample {
            at: Instant::now(),
            process: Duration::ZERO,
            thread: Duration::ZERO,
        });
    }

    /// The limit of a process whose time and work are those of `work`.
    pub(crate) fn limit() -> AdaptiveLimit {
        AdaptiveLimit::new(Some(Load::new(|| SAMPLE.get())))
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

    fn is_off_after(limit: &AdaptiveLimit, passed: Duration, share: f64, is_awaited: bool) -> bool {
        limit.follow(work(passed, share, share / 2.0), is_awaited)
    }

    #[test]
    fn it_applies_while_one_processor_is_busy() {
        let limit = limit();
        assert!(is_off_after(&limit, LOOK, 0.9, false));
        assert!(is_off_after(&limit, LOOK, 2.0, false));
        assert!(
            is_off_after(&limit, LOOK / 2, 1.0, false),
            "that is too short"
        );
        assert!(!is_off_after(&limit, LOOK / 2, 1.0, false));
        for _ in 0..1000 {
            assert!(!is_off_after(&limit, TRIAL, 1.0, true));
        }
        assert!(!is_off_after(&limit, TRIAL / 2, 0.0, true));
        assert!(is_off_after(&limit, TRIAL / 2, 0.0, false));
        assert!(
            !is_off_after(&limit, LOOK, 1.0, false),
            "nobody had waited in vain"
        );
    }

    #[test]
    fn what_the_loop_has_no_part_in_does_not_apply_it() {
        let limit = limit();
        assert!(limit.follow(work(LOOK, 1.0, 0.1), false));
        assert!(!limit.follow(work(LOOK, 1.0, 0.5), false));
        assert!(AdaptiveLimit::new(None).follow(work(LOOK, 1.0, 0.5), false));
    }

    #[test]
    fn what_is_long_ago_says_nothing() {
        let limit = limit();
        assert!(is_off_after(&limit, 100 * LOOK, 1.0, false));
        assert!(!is_off_after(&limit, LOOK, 1.0, false));
        assert!(is_off_after(&limit, 100 * LOOK, 1.0, true));
        assert!(!is_off_after(&limit, LOOK, 1.0, true), "it did not rest");
    }

    #[test]
    fn waiting_in_vain_lifts_it_for_longer_each_time() {
        let limit = limit();
        for rest in [2, 4, 8, 16, 32, 60, 60] {
            let rest = Duration::from_secs(rest);
            assert!(!is_off_after(&limit, LOOK, 1.0, true));
            assert!(is_off_after(&limit, TRIAL, 0.5, true));
            assert!(is_off_after(&limit, rest - TRIAL, 1.0, true));
            assert!(is_off_after(&limit, TRIAL, 1.0, true), "that is long ago");
        }
    }

    #[test]
    fn what_was_right_for_long_is_tried_again_soon() {
        let limit = limit();
        assert!(!is_off_after(&limit, LOOK, 1.0, true));
        assert!(is_off_after(&limit, TRIAL, 0.5, true));
        assert_eq!(limit.rest.get(), 2 * FIRST_REST);
        assert!(is_off_after(&limit, 2 * FIRST_REST, 1.0, true));
        let mut now = work(LOOK, 1.0, 1.0);
        let end = now + 3 * FIRST_REST;
        while now < end {
            assert!(!limit.follow(now, true));
            now = work(TRIAL, 1.0, 1.0);
        }
        assert!(!limit.follow(now, true));
        assert!(is_off_after(&limit, TRIAL, 0.5, true));
        assert_eq!(limit.rest.get(), FIRST_REST);
    }
}
