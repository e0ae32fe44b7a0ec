//! `Load`: how busy the process and the thread of its event loop keep the machine's processors.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// See the module's documentation. One thread asks it.
pub(crate) struct Load {
    last: Cell<Sample>,
    take: fn() -> Sample,
}

/// The processor time that was used up to a moment.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// Processor time of all threads of the process.
    pub(crate) process: Duration,
    /// Processor time of the calling thread.
    pub(crate) thread: Duration,
}

/// The result of a measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Answer {
    /// The last measurement is too recent.
    TooSoon,
    /// The last measurement is so old that an average says nothing of the present.
    TooLate,
    /// Busy processors since then, on average.
    Shares { process: f64, thread: f64 },
}

impl Default for Load {
    fn default() -> Self {
        Self::new(sample)
    }
}

impl Load {
    pub(crate) fn new(take: fn() -> Sample) -> Self {
        Self {
            last: Cell::new(take()),
            take,
        }
    }

    /// The processors that were busy since the last measurement, if that is `span` ago. Then this
    /// one becomes the last.
    pub(crate) fn measure(&self, now: Instant, span: Duration) -> Answer {
        let last = self.last.get();
        if now.saturating_duration_since(last.at) < span {
            return Answer::TooSoon;
        }
        // `now` may be the start of the turn, and a sample must be of one moment.
        let sample = (self.take)();
        self.last.set(sample);
        let passed = sample.at.saturating_duration_since(last.at);
        if passed.is_zero() || passed > span * LATE {
            return Answer::TooLate;
        }
        let share = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / passed.as_secs_f64()
        };
        Answer::Shares {
            process: share(sample.process, last.process),
            thread: share(sample.thread, last.thread),
        }
    }
}

fn sample() -> Sample {
    let used = |clock| clock_gettime(clock).try_into().unwrap_or_default();
    Sample {
        at: Instant::now(),
        process: used(ClockId::ProcessCPUTime),
        thread: used(ClockId::ThreadCPUTime),
    }
}

/// Spans after which a measurement is too old.
const LATE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_keeps_a_processor_busy() {
        let (load, start) = (Load::default(), Instant::now());
        let span = Duration::from_millis(20);
        assert_eq!(load.measure(start, span), Answer::TooSoon);
        while start.elapsed() < span {}
        // Other tests run beside this one, and other processes.
        match load.measure(Instant::now(), span) {
            // The process's clock is read a moment before the thread's.
            Answer::Shares { process, thread } => assert!(process > thread - 0.1 && thread > 0.0),
            answer => assert_eq!(answer, Answer::TooLate),
        }
        assert_eq!(load.measure(Instant::now(), span), Answer::TooSoon);
        assert_eq!(
            load.measure(Instant::now(), Duration::ZERO),
            Answer::TooLate
        );
    }
}
