//! `Standing`: how much a task asks for, by what it did before; `Behind`: those that let others go first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Clone, Copy, Default)]
pub(super) enum Standing {
    /// A slice is more than it needs.
    #[default]
    Usual,
    /// It may turn out to be greedy. So it runs behind the usual ones, so many times.
    New { runs: u32 },
    /// It has used its slice. It runs behind the usual ones until it has needed less for a while.
    GaveWay { since: Instant, runs: u32 },
}

impl Standing {
    /// That of a newcomer.
    pub(super) fn new() -> Self {
        Self::New { runs: 0 }
    }

    /// That of a task whose slice is over.
    pub(super) fn gave_way(now: Instant) -> Self {
        Self::GaveWay {
            since: now,
            runs: 0,
        }
    }

    /// True if the task runs behind the usual ones.
    pub(super) fn is_behind(self) -> bool {
        !matches!(self, Self::Usual)
    }

    /// A run behind the usual ones is over. Where many have given way, their turns are rare: so not the time alone
    /// counts.
    pub(super) fn after_run(self, now: Instant) -> Self {
        match self {
            Self::New { runs } if runs + 1 < RUNS => Self::New { runs: runs + 1 },
            Self::GaveWay { since, runs } if runs + 1 < RUNS || now < since + STAYS => {
                Self::GaveWay {
                    since,
                    runs: runs.saturating_add(1),
                }
            }
            _ => Self::Usual,
        }
    }
}

/// Tasks that are ready and run behind the usual ones. Newcomers and those that have given way take turns, each in
/// their order.
#[derive(Default)]
pub(super) struct Behind {
    newcomers: RefCell<VecDeque<usize>>,
    /// Those that have given way.
    patient: RefCell<VecDeque<usize>>,
    /// The last one was a newcomer.
    was_new: Cell<bool>,
}

impl Behind {
    /// Adds a task of that standing.
    pub(super) fn push(&self, key: usize, standing: Standing) {
        let queue = match standing {
            Standing::New { .. } => &self.newcomers,
            Standing::GaveWay { .. } | Standing::Usual => &self.patient,
        };
        queue.borrow_mut().push_back(key);
    }

    /// Tasks that are ready.
    pub(super) fn len(&self) -> usize {
        self.newcomers.borrow().len() + self.patient.borrow().len()
    }

    /// The next one.
    pub(super) fn pop(&self) -> Option<usize> {
        let (mut newcomers, mut patient) = (self.newcomers.borrow_mut(), self.patient.borrow_mut());
        let is_new = patient.is_empty() || (!self.was_new.get() && !newcomers.is_empty());
        self.was_new.set(is_new);
        match is_new {
            true => newcomers.pop_front(),
            false => patient.pop_front(),
        }
    }
}

/// Time that a task stays with those that have given way. One that takes what it gets in bursts comes back sooner.
const STAYS: Duration = Duration::from_millis(50);
/// Runs for which a task stays behind the usual ones at least.
const RUNS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_usual_after_a_few_runs_and_greedy_ones_after_a_while() {
        let now = Instant::now();
        let after = |standing: Standing, times: &[Duration]| {
            let run = |standing: Standing, time: &Duration| standing.after_run(now + *time);
            times.iter().fold(standing, run).is_behind()
        };
        let (soon, late) = (Duration::ZERO, STAYS);
        assert!(after(Standing::new(), &[late; 3]));
        assert!(!after(Standing::new(), &[soon; 4]));
        assert!(after(Standing::gave_way(now), &[late; 3]));
        assert!(after(Standing::gave_way(now), &[soon; 400]));
        assert!(!after(Standing::gave_way(now), &[soon, soon, soon, late]));
        assert!(!Standing::default().is_behind());
    }

    #[test]
    fn newcomers_and_those_that_have_given_way_take_turns() {
        let behind = Behind::default();
        for key in [1, 2, 3, 4] {
            behind.push(key, Standing::gave_way(Instant::now()));
        }
        for key in [11, 12] {
            behind.push(key, Standing::new());
        }
        let order: Vec<usize> = std::iter::from_fn(|| behind.pop()).collect();
        assert_eq!(order, [11, 1, 12, 2, 3, 4]);
        assert_eq!(behind.len(), 0);
    }
}
