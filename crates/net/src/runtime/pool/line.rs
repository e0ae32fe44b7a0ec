//! `Line`: the jobs of a pool and what its threads are at; says how many threads the work can use.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slab::Slab;

use super::Seat;
use crate::runtime::sync::Thread;

pub(super) struct Line<J> {
    /// Jobs, with when they came.
    pub(super) jobs: VecDeque<(Instant, J)>,
    /// Parked threads, the one that parked last at the end.
    pub(super) idle: Vec<Thread>,
    /// When the jobs that awake threads have taken were begun.
    pub(super) calls: Slab<Instant>,
    /// Threads that are neither parked nor wait for a client.
    pub(super) awake: usize,
    /// All threads.
    pub(super) threads: usize,
    /// Threads that wait for a client.
    pub(super) waiting: usize,
    /// Threads that are to park although there are jobs.
    pub(super) surplus: usize,
    pub(super) watching: Watching,
    pub(super) is_closed: bool,
}

#[derive(PartialEq, Eq)]
pub(super) enum Watching {
    /// The watching thread has not been started.
    Never,
    /// It waits to be told of a line.
    Asleep,
    /// It looks at the line every [`TICK`]; so many times in a row there was none.
    Awake(u32),
}

/// Threads that a look at the line asks for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) parked: Vec<Thread>,
    pub(super) new: Vec<usize>,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self {
            jobs: VecDeque::new(),
            idle: Vec::new(),
            calls: Slab::new(),
            awake: 0,
            threads: 0,
            waiting: 0,
            surplus: 0,
            watching: Watching::Never,
            is_closed: false,
        }
    }
}

impl<J> Line<J> {
    /// Awake threads that have not been held up by what they do.
    pub(super) fn moving(&self, now: Instant) -> usize {
        let is_held_up = |since: &Instant| now.saturating_duration_since(*since) >= TICK;
        let held_up = self
            .calls
            .iter()
            .filter(|(_, since)| is_held_up(since))
            .count();
        self.awake.saturating_sub(held_up)
    }

    /// How many threads more the line could use, whose first job has `waited`. `share` says how
    /// many processors the process has kept busy of late, where that is known.
    pub(super) fn missing(&mut self, now: Instant, waited: Duration, share: Option<f64>) -> usize {
        if waited < TICK {
            return 0;
        }
        let moving = self.moving(now);
        if moving == 0 {
            // As many again: 32 jobs that wait for something have their threads after six looks.
            return self.awake.max(1).min(self.jobs.len());
        }
        match share {
            Some(share) if share < SPARE => 1,
            Some(share) if share > FULL && moving > 1 => {
                self.surplus = 1;
                0
            }
            _ => 0,
        }
    }

    /// Takes up to `count` threads into work: parked ones, then new ones.
    pub(super) fn add(&mut self, count: usize, limit: usize) -> Wanted {
        let mut wanted = Wanted::default();
        for _ in 0..count {
            if let Some(thread) = self.idle.pop() {
                wanted.parked.push(thread);
            } else if self.threads < limit + self.waiting.min(limit * MOST_WAITING) {
                self.threads += 1;
                wanted.new.push(self.threads);
            } else {
                break;
            }
            self.awake += 1;
        }
        wanted
    }

    /// How many threads that wait for clients are to do so no longer, where no further one can be had. A thread does
    /// several quick jobs.
    pub(super) fn displaced(&self, limit: usize) -> usize {
        let wanted = self.jobs.len().div_ceil(JOBS_PER_THREAD);
        wanted.min(limit.saturating_sub(self.awake))
    }

    pub(super) fn next(&mut self, seat: &mut Seat, now: Instant) -> Option<J> {
        if self.surplus > 0 && self.awake > 1 {
            return None;
        }
        let (_, job) = self.jobs.pop_front()?;
        self.begin_call(seat, now);
        Some(job)
    }

    pub(super) fn begin_call(&mut self, seat: &mut Seat, now: Instant) {
        seat.call = Some(self.calls.insert(now));
    }

    pub(super) fn end_call(&mut self, seat: &mut Seat) {
        if let Some(key) = seat.call.take() {
            self.calls.remove(key);
        }
    }

    pub(super) fn is_parked(&self, seat: &Seat) -> bool {
        self.idle
            .iter()
            .any(|thread| thread.id() == seat.thread.id())
    }

    pub(super) fn unlist(&mut self, seat: &Seat) {
        self.idle.retain(|thread| thread.id() != seat.thread.id());
    }

    /// False if the line has been empty for so long that nobody needs to watch it.
    pub(super) fn note_quiet(&mut self) -> bool {
        let Watching::Awake(quiet) = &mut self.watching else {
            return false;
        };
        *quiet += 1;
        if *quiet >= QUIET_TICKS {
            self.watching = Watching::Asleep;
        }
        self.watching != Watching::Asleep
    }
}

/// A job that takes longer holds its thread up; a line that waits longer may need another one.
pub(super) const TICK: Duration = match cfg!(feature = "model") {
    false => Duration::from_micros(500),
    // No time passes.
    true => Duration::MAX,
};
/// Looks at an empty line before the watching thread sleeps: to wake it costs about what two looks
/// do.
const QUIET_TICKS: u32 = 5;
/// Below this many busy processors a line that waits could use another thread.
const SPARE: f64 = 0.85;
/// Above this many several threads get no more done than one: they share one interpreter lock.
const FULL: f64 = 0.97;
/// Jobs in the line for which one thread more is freed.
const JOBS_PER_THREAD: usize = 8;
/// Threads that may wait for clients besides, as a multiple of the pool's limit.
const MOST_WAITING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose `awake` threads began their calls so long before `now`.
    fn line(now: Instant, jobs: usize, calls: &[Duration]) -> Line<()> {
        let mut line = Line::default();
        line.jobs.extend((0..jobs).map(|_| (now, ())));
        for since in calls {
            line.calls.insert(now - *since);
        }
        line.awake = calls.len();
        line.threads = calls.len();
        line
    }

    const LONG: Duration = Duration::from_millis(5);
    const SHORT: Duration = Duration::from_micros(20);

    #[test]
    fn a_line_that_moves_gets_no_thread_from_a_busy_process() {
        let now = Instant::now();
        let mut busy = line(now, 64, &[SHORT]);
        assert_eq!(busy.missing(now, LONG, Some(1.0)), 0);
        assert_eq!(busy.surplus, 0);
        assert_eq!(busy.missing(now, LONG, None), 0);
    }

    #[test]
    fn a_line_that_moves_gets_one_from_a_process_with_time_to_spare() {
        let now = Instant::now();
        assert_eq!(line(now, 64, &[SHORT]).missing(now, LONG, Some(0.4)), 1);
    }

    #[test]
    fn a_line_that_has_just_come_gets_none() {
        let now = Instant::now();
        assert_eq!(line(now, 64, &[LONG]).missing(now, SHORT, Some(0.1)), 0);
    }

    #[test]
    fn a_line_whose_threads_are_all_held_up_doubles_them() {
        let now = Instant::now();
        for held_up in [1, 2, 4, 8] {
            let calls = vec![LONG; held_up];
            assert_eq!(line(now, 32, &calls).missing(now, LONG, Some(1.0)), held_up);
        }
        assert_eq!(line(now, 3, &[LONG; 8]).missing(now, LONG, Some(1.0)), 3);
    }

    #[test]
    fn of_several_threads_that_move_a_busy_process_parks_one() {
        let now = Instant::now();
        let mut busy = line(now, 64, &[SHORT, SHORT, LONG]);
        assert_eq!(busy.missing(now, LONG, Some(1.0)), 0);
        assert_eq!(busy.surplus, 1);
        let mut seat = Seat::new();
        assert!(busy.next(&mut seat, now).is_none());
    }

    #[test]
    fn threads_that_wait_for_clients_leave_places_for_those_that_work() {
        let now = Instant::now();
        let displaced = |jobs, awake: usize| line(now, jobs, &vec![LONG; awake]).displaced(4);
        assert_eq!([1, 8, 9, 99].map(|jobs| displaced(jobs, 0)), [1, 1, 2, 4]);
        assert_eq!([1, 3, 4, 5].map(|awake| displaced(99, awake)), [3, 1, 0, 0]);
    }

    #[test]
    fn threads_that_wait_for_clients_do_not_count_against_the_limit() {
        let now = Instant::now();
        let mut full = line(now, 1, &[]);
        (full.threads, full.waiting) = (2, 2);
        assert_eq!(full.add(1, 2).new, [3]);
        (full.threads, full.waiting) = (2, 0);
        assert!(full.add(1, 2).new.is_empty());
    }
}
