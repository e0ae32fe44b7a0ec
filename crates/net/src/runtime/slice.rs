//! `Slice`: the time that a task uses before others get their turn. Where there are none, it is longer: to give way to
//! nobody costs a turn and a write.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::reactor::TaskHandle;
use super::shares::SLICE;

/// One poll's share of the thread. It begins when the clock is read for the first time: a poll of one step does without.
#[derive(Default)]
pub(crate) struct Slice(Cell<Option<Share>>);

#[derive(Clone, Copy)]
struct Share {
    began: Instant,
    length: Duration,
    /// The time that was used, as of the last look.
    used: Duration,
}

impl Slice {
    /// Begins a poll's slice, now.
    pub(crate) fn begin(&self, handle: &TaskHandle) {
        self.0.set(Some(Share::new(handle, handle.time())));
    }

    /// True once the task has run for long enough. It then calls [`TaskHandle::give_way`], if there is more to do.
    pub(crate) fn is_over(&self, handle: &TaskHandle) -> bool {
        let now = handle.time();
        let mut share = self.0.get().unwrap_or_else(|| Share::new(handle, now));
        let was_over = share.used >= share.length;
        share.used = now.saturating_duration_since(share.began);
        let mut is_over = share.used >= share.length;
        if is_over && !was_over {
            if share.used < LONGEST && handle.is_alone() {
                share.length = (share.used + SLICE).min(LONGEST);
                is_over = false;
            } else {
                handle.shares().note_used(share.used);
            }
        }
        self.0.set(Some(share));
        is_over
    }

    /// True if the task had run for long enough at the last look at the clock.
    pub(crate) fn was_over(&self) -> bool {
        self.0.get().is_some_and(|share| share.used >= share.length)
    }

    /// The time that was used, as of the last look at the clock.
    pub(crate) fn used(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, |share| share.used)
    }
}

impl Share {
    fn new(handle: &TaskHandle, now: Instant) -> Self {
        Self {
            began: now,
            length: handle.shares().next(handle.is_behind()),
            used: Duration::ZERO,
        }
    }
}

/// The slice of a task that nobody waits for: the event loop has other tasks, too.
const LONGEST: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Poll;

    use super::*;
    use crate::runtime::reactor::Reactor;
    use crate::runtime::shares::{LEAST, SLICE};

    /// Lets a slice that has begun take so long; true if it is over then, and not a nanosecond before.
    fn is_over_after(slice: &Slice, handle: &TaskHandle, time: Duration) -> bool {
        let clock = handle.reactor().clone();
        clock.clock().advance(time - Duration::from_nanos(1));
        let was_over = slice.is_over(handle);
        clock.clock().advance(Duration::from_nanos(1));
        !was_over && slice.is_over(handle)
    }

    fn in_task(test: impl FnOnce(TaskHandle)) {
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        // Another one is ready.
        reactor.spawn(|_| Ok(async {})).unwrap();
        reactor
            .spawn(|handle| {
                test(handle);
                Ok(async {})
            })
            .unwrap();
    }

    #[test]
    fn a_slice_begins_with_the_first_look() {
        in_task(|handle| {
            let slice = Slice::default();
            handle.reactor().clock().advance(SLICE);
            assert!(!slice.is_over(&handle));
            assert!(is_over_after(&slice, &handle, SLICE / 2));
            assert_eq!(slice.used(), SLICE / 2);
        });
    }

    #[test]
    fn a_task_that_nobody_waits_for_goes_on() {
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        let task = |handle: TaskHandle| {
            let slice = Slice::default();
            slice.begin(&handle);
            for _ in 0..3 {
                handle.reactor().clock().advance(SLICE);
                assert!(!slice.is_over(&handle));
            }
            assert!(is_over_after(&slice, &handle, LONGEST - 3 * SLICE));
            slice.begin(&handle);
            handle.reactor().clock().advance(SLICE);
            handle.reactor().spawn(|_| Ok(async {}))?;
            assert!(slice.is_over(&handle));
            Ok(async {})
        };
        reactor.spawn(task).unwrap();
    }

    #[test]
    fn tasks_that_want_more_than_a_slice_in_a_turn_have_one_together() {
        in_task(|handle| {
            for expected in [SLICE / 2, LEAST, LEAST] {
                let slice = Slice::default();
                slice.begin(&handle);
                assert!(is_over_after(&slice, &handle, expected));
            }
        });
    }

    #[test]
    fn tasks_behind_the_others_have_half_as_much_time_as_those() {
        in_task(|handle| {
            let clock = handle.reactor().clone();
            let is_over_after = |expected| {
                let slice = Slice::default();
                slice.begin(&handle);
                is_over_after(&slice, &handle, expected)
            };
            handle.give_way();
            for passed in [Duration::ZERO, LEAST, SLICE / 3, SLICE / 2, 6 * SLICE] {
                let shares = handle.shares();
                shares.end_behind(handle.time());
                shares.begin();
                clock.clock().advance(passed);
                let now = handle.time();
                let time = (passed / 2).max(LEAST);
                assert_eq!(shares.begin_behind(now), now + time);
                assert!(is_over_after(SLICE), "there are no others");
                shares.note_other();
                assert!(is_over_after(time.min(SLICE / 2)));
            }
        });
    }

    /// A task that has given way is with the others again when that is long ago and it has run a few times since.
    #[test]
    fn a_task_that_needs_less_comes_back() {
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        let gave_way: Rc<RefCell<Vec<bool>>> = Rc::default();
        let seen = Rc::clone(&gave_way);
        let mut is_first = true;
        let task = move |handle: TaskHandle| {
            Ok(poll_fn(move |cx| {
                seen.borrow_mut().push(handle.is_behind());
                match std::mem::take(&mut is_first) {
                    true => handle.give_way(),
                    false => cx.waker().wake_by_ref(),
                }
                Poll::<()>::Pending
            }))
        };
        reactor.spawn(task).unwrap();
        for _ in 0..2 {
            for _ in 0..4 {
                assert!(reactor.turn());
            }
            reactor.clock().advance(Duration::from_millis(50));
        }
        let expected = [false, true, true, true, true, false, false, false];
        assert_eq!(*gave_way.borrow(), expected);
    }

    /// Greedy tasks, whose slices are over, and polite ones, which are woken by them: in each turn the polite ones run
    /// first, then one greedy one, since that takes all of the time for those.
    #[test]
    fn tasks_that_give_way_run_behind_the_others() {
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        let runs: Rc<RefCell<Vec<&str>>> = Rc::default();
        for name in ["greedy 1", "greedy 2"] {
            let runs = Rc::clone(&runs);
            let task = move |handle: TaskHandle| {
                Ok(poll_fn(move |_| {
                    runs.borrow_mut().push(name);
                    handle.reactor().clock().advance(SLICE);
                    handle.give_way();
                    Poll::<()>::Pending
                }))
            };
            reactor.spawn(task).unwrap();
        }
        for name in ["polite 1", "polite 2"] {
            let runs = Rc::clone(&runs);
            let task = move |_| {
                Ok(poll_fn(move |cx| {
                    runs.borrow_mut().push(name);
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                }))
            };
            reactor.spawn(task).unwrap();
        }
        assert!(reactor.turn());
        runs.borrow_mut().clear();
        for _ in 0..3 {
            assert!(reactor.turn(), "there is more to do");
            runs.borrow_mut().push("-");
        }
        let expected = "polite 1,polite 2,greedy 1,-,polite 1,polite 2,greedy 2,-,polite 1,polite 2,greedy 1,-";
        assert_eq!(runs.borrow().join(","), expected);
    }
}
