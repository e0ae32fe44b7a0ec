//! `Pace`: how many calls begin in a turn, so that requests are read, and refusals leave, between the calls of an
//! application that keeps the thread busy.
//!
//! The time from one turn to the next includes the steps of tasks that the calls have begun, wherever they ran. So the
//! number follows that time: one call in a turn where each takes long, hundreds where they are quick.
//!
//! Where connections live on other threads than the application, a round takes the place of a turn: the application's
//! thread takes the requests that were handed over, calls them, and comes back. As many as may begin in a round may be
//! on their way there.

use std::time::{Duration, Instant};

/// See the module's documentation.
pub(super) struct Pace {
    /// The time that a turn should take at most.
    longest: Duration,
    /// The number of the present turn, and its begin.
    turn: (u64, Instant),
    /// Calls that may begin in a turn.
    most: usize,
    /// Those that this turn has let begin; or those that were let begin and have neither begun nor been given up.
    given: usize,
    by: By,
}

/// The measure of a pace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Turns of the thread that has the connections.
    Turns,
    /// Rounds of the application's thread.
    Rounds,
}

impl Pace {
    pub(super) fn new(longest: Duration, by: By, now: Instant) -> Self {
        Self {
            longest,
            turn: (0, now),
            most: 1,
            given: 0,
            by,
        }
    }

    /// Begins a turn at `now`, unless it is the present one, or the pace is by rounds.
    pub(super) fn begin(&mut self, turn: u64, now: Instant) {
        let (present, began) = self.turn;
        if turn == present || self.by == By::Rounds {
            return;
        }
        self.follow(self.given, now.saturating_duration_since(began));
        self.turn = (turn, now);
        self.given = 0;
    }

    /// A turn, or a round, in which so many calls began has taken this time.
    pub(super) fn follow(&mut self, began: usize, time: Duration) {
        if began > 0 && time > self.longest {
            let share = self.longest.div_duration_f64(time);
            self.most = ((began as f64 * share) as usize).max(1);
        } else if began >= self.most && time < self.longest / 2 {
            self.most = (2 * self.most).min(MOST);
        }
    }

    /// A call may begin. True if [`Pace::settle`] is to follow.
    pub(super) fn note(&mut self) -> bool {
        self.given += 1;
        self.is_by_rounds()
    }

    /// The call has begun in a round, or never will.
    pub(super) fn settle(&mut self) {
        self.given = self.given.saturating_sub(1);
    }

    pub(super) fn is_by_rounds(&self) -> bool {
        self.by == By::Rounds
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
        let mut pace = Pace::new(LONGEST, By::Turns, now);
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
        let mut pace = Pace::new(LONGEST, By::Turns, now);
        pace.note();
        pace.begin(1, now + LONGEST / 4);
        pace.begin(2, now + 100 * LONGEST);
        pace.begin(2, now + 200 * LONGEST);
        pace.note();
        assert!(!pace.is_spent(), "two may begin");
        pace.note();
        assert!(pace.is_spent());
    }

    #[test]
    fn rounds_have_as_many_on_their_way_as_begin_in_one() {
        let now = Instant::now();
        let mut pace = Pace::new(LONGEST, By::Rounds, now);
        assert!(pace.note() && pace.is_spent());
        pace.begin(1, now + 10 * LONGEST);
        assert!(pace.is_spent(), "turns do not count");
        pace.settle();
        pace.follow(1, LONGEST / 4);
        assert!(pace.note() && !pace.is_spent());
        assert!(pace.note() && pace.is_spent());
        pace.settle();
        pace.follow(1, LONGEST / 4);
        assert!(pace.note() && pace.is_spent(), "a round was not full");
        pace.settle();
        pace.settle();
        pace.follow(2, 2 * LONGEST);
        assert!(pace.note() && pace.is_spent());
    }
}
