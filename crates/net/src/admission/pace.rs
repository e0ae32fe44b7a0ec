//! `Pace`: how many calls begin in a turn, so that requests are read, and refusals leave, between the calls of an
//! application that keeps the thread busy.
//!
//! The time from one turn to the next includes the steps of tasks that the calls have begun, wherever they ran. So the
//! number follows that time: one call in a turn where each takes long, hundreds where they are quick.

use std::time::{Duration, Instant};

/// See the module's documentation.
pub(super) struct Pace {
    /// The time that a turn should take at most.
    longest: Duration,
    /// The number of the present turn, and its begin.
    turn: (u64, Instant),
    /// Calls that may begin in a turn, and those that this one has let begin.
    most: usize,
    given: usize,
}

impl Pace {
    pub(super) fn new(longest: Duration, now: Instant) -> Self {
        Self {
            longest,
            turn: (0, now),
            most: 1,
            given: 0,
        }
    }

    /// Begins a turn at `now`, unless it is the present one.
    pub(super) fn begin(&mut self, turn: u64, now: Instant) {
        let (present, began) = self.turn;
        if turn == present {
            return;
        }
        let passed = now.saturating_duration_since(began);
        if self.given > 0 && passed > self.longest {
            let share = self.longest.div_duration_f64(passed);
            self.most = ((self.given as f64 * share) as usize).max(1);
        } else if self.is_spent() && passed < self.longest / 2 {
            self.most = (2 * self.most).min(MOST);
        }
        self.turn = (turn, now);
        self.given = 0;
    }

    /// A call begins.
    pub(super) fn note(&mut self) {
        self.given += 1;
    }

    /// True if no more calls begin in this turn.
    pub(super) fn is_spent(&self) -> bool {
        self.given >= self.most
    }
}

/// As many as may ever begin in a turn.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(2);

    /// The calls that begin in each of `turns`, which are asked for as many as they allow, and of which each takes
    /// `cost`.
    fn calls(pace: &mut Pace, now: &mut Instant, cost: Duration, turns: usize) -> Vec<usize> {
        let turn = |_| {
            pace.begin(pace.turn.0 + 1, *now);
            let mut count = 0;
            while !pace.is_spent() {
                pace.note();
                count += 1;
            }
            *now += cost * count;
            count as usize
        };
        (0..turns).map(turn).collect()
    }

    #[test]
    fn quick_calls_begin_together_and_slow_ones_one_by_one() {
        let mut now = Instant::now();
        let mut pace = Pace::new(LONGEST, now);
        now += LONGEST;
        let quick = calls(&mut pace, &mut now, Duration::from_micros(10), 10);
        assert_eq!(quick, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
        let slow = calls(&mut pace, &mut now, LONGEST, 3);
        assert_eq!(slow, [128, 1, 1]);
        let between = calls(&mut pace, &mut now, LONGEST / 4, 5);
        assert_eq!(between, [1, 2, 2, 2, 2]);
        let free = calls(&mut pace, &mut now, Duration::ZERO, 10);
        assert_eq!(free.last(), Some(&MOST));
    }

    #[test]
    fn a_turn_in_which_nothing_was_called_says_nothing() {
        let now = Instant::now();
        let mut pace = Pace::new(LONGEST, now);
        pace.note();
        pace.begin(1, now + LONGEST / 4);
        pace.begin(2, now + 100 * LONGEST);
        pace.begin(2, now + 200 * LONGEST);
        pace.note();
        assert!(!pace.is_spent(), "two may begin");
        pace.note();
        assert!(pace.is_spent());
    }
}
