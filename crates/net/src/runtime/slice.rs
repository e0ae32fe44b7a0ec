//! `Slice`: the time that a task uses before others get their turn.

use std::time::{Duration, Instant};

use super::reactor::TaskHandle;

/// One poll's share of the thread. The clock is read when it is asked for the first time, so that a poll of one step
/// does without.
#[derive(Default)]
pub(crate) struct Slice(Option<Instant>);

impl Slice {
    /// True once the task has run for long enough. It then calls [`TaskHandle::give_way`], if there is more to do.
    pub(crate) fn is_over(&mut self, handle: &TaskHandle) -> bool {
        let now = handle.time();
        let began = *self.0.get_or_insert(now);
        now.saturating_duration_since(began) >= SLICE
    }
}

/// Long enough for fifty small requests on one connection.
const SLICE: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Poll;

    use super::*;
    use crate::runtime::reactor::Reactor;

    #[test]
    fn a_slice_begins_with_the_first_look() {
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        reactor
            .spawn(|handle| {
                let clock = handle.reactor().clone();
                let mut slice = Slice::default();
                clock.clock().advance(SLICE);
                assert!(!slice.is_over(&handle));
                clock.clock().advance(SLICE - Duration::from_nanos(1));
                assert!(!slice.is_over(&handle));
                clock.clock().advance(Duration::from_nanos(1));
                assert!(slice.is_over(&handle));
                Ok(async {})
            })
            .unwrap();
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
