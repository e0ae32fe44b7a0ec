//! `Timers`: one deadline per task, kept lazily. To move a deadline later, as every request does
//! with its connection's, only stores a value.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The pending alarms of one reactor.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

/// One task's deadline and the alarm that stands for it in the heap.
#[derive(Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    alarm: Option<Instant>,
}

impl Timers {
    /// Sets the deadline of task `key`; `None` means it has none.
    pub(crate) fn set(&mut self, key: usize, deadline: &mut Deadline, at: Option<Instant>) {
        deadline.at = at;
        if let Some(at) = at
            && deadline.alarm.is_none_or(|alarm| at < alarm)
        {
            deadline.alarm = Some(at);
            self.heap.push(Reverse((at, key)));
        }
    }

    /// Drops stale alarms once most alarms are stale: those of ended tasks and of deadlines that
    /// moved earlier.
    pub(crate) fn compact<'a>(
        &mut self,
        tasks: usize,
        deadline: impl Fn(usize) -> Option<&'a Deadline>,
    ) {
        if self.heap.len() > 4 * tasks + SPARE_ALARMS {
            self.heap.retain(|Reverse((at, key))| {
                deadline(*key).is_some_and(|deadline| deadline.alarm == Some(*at))
            });
        }
    }

    /// The time of the next alarm.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next alarm that has rung by `now`: its time and its task.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, usize)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Handles the alarm of `key` that rang at `rang`. True if the deadline has come; otherwise an
    /// alarm is set for the later deadline.
    pub(crate) fn ring(
        &mut self,
        key: usize,
        deadline: &mut Deadline,
        rang: Instant,
        now: Instant,
    ) -> bool {
        if deadline.alarm != Some(rang) {
            return false; // left over from a finished task or a deadline that moved earlier
        }
        deadline.alarm = None;
        match deadline.at {
            Some(at) if at <= now => {
                deadline.at = None;
                true
            }
            at => {
                self.set(key, deadline, at);
                false
            }
        }
    }
}

/// Stale alarms from which the heap is searched for them.
const SPARE_ALARMS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: usize = 7;

    /// When the deadline has come, going from alarm to alarm.
    fn rings(timers: &mut Timers, deadline: &mut Deadline, start: Instant) -> Vec<u64> {
        let mut rings = Vec::new();
        while let Some(now) = timers.next() {
            while let Some((rang, key)) = timers.pop(now) {
                assert_eq!(key, KEY);
                if timers.ring(key, deadline, rang, now) {
                    rings.push((now - start).as_secs());
                }
            }
        }
        rings
    }

    #[test]
    fn a_deadline_that_moves_comes_once() {
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        for moves in [&[5][..], &[5, 9], &[9, 5], &[9, 5, 7], &[5, 9, 5]] {
            let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
            for seconds in moves {
                timers.set(KEY, &mut deadline, at(*seconds));
            }
            let last = moves.last().copied().into_iter().collect::<Vec<u64>>();
            assert_eq!(rings(&mut timers, &mut deadline, start), last, "{moves:?}");
        }
    }

    #[test]
    fn a_deadline_that_was_taken_back_does_not_come() {
        let start = Instant::now();
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        timers.set(KEY, &mut deadline, Some(start + Duration::from_secs(5)));
        timers.set(KEY, &mut deadline, None);
        assert!(rings(&mut timers, &mut deadline, start).is_empty());
    }

    #[test]
    fn an_alarm_of_another_task_with_this_key_is_not_this_one_s() {
        let start = Instant::now();
        let mut timers = Timers::default();
        let (mut ended, mut deadline) = (Deadline::default(), Deadline::default());
        timers.set(KEY, &mut ended, Some(start + Duration::from_secs(5)));
        timers.set(KEY, &mut deadline, Some(start + Duration::from_secs(9)));
        assert_eq!(rings(&mut timers, &mut deadline, start), [9]);
    }

    #[test]
    fn alarms_that_stand_for_nothing_are_forgotten() {
        let start = Instant::now();
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        for seconds in (0..10 * SPARE_ALARMS as u64).rev() {
            timers.set(
                KEY,
                &mut deadline,
                Some(start + Duration::from_secs(seconds)),
            );
            timers.compact(1, |key| (key == KEY).then_some(&deadline));
        }
        assert!(timers.heap.len() <= SPARE_ALARMS + 5);
        assert_eq!(rings(&mut timers, &mut deadline, start), [0]);
    }
}
