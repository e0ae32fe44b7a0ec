//! `Load`: how busy the process keeps the machine's processors.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// See the module's documentation.
pub(crate) struct Load {
    /// When the process was looked at last, and what it had used by then.
    seen: Cell<(Instant, Duration)>,
    used: fn() -> Duration,
}

impl Default for Load {
    fn default() -> Self {
        Self::new(Instant::now(), used)
    }
}

impl Load {
    /// One that learns from `used` how long all threads of the process have run so far.
    pub(crate) fn new(now: Instant, used: fn() -> Duration) -> Self {
        Self {
            seen: Cell::new((now, used())),
            used,
        }
    }

    /// How many processors were busy, on average, since this was told last. `None` if that is less
    /// than `span` ago.
    pub(crate) fn since(&self, now: Instant, span: Duration) -> Option<f64> {
        let (at, before) = self.seen.get();
        let passed = now.saturating_duration_since(at);
        if passed < span || passed.is_zero() {
            return None;
        }
        let used = (self.used)();
        self.seen.set((now, used));
        Some(used.saturating_sub(before).as_secs_f64() / passed.as_secs_f64())
    }
}

fn used() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_keeps_one_processor_busy() {
        let (load, start) = (Load::default(), Instant::now());
        let span = Duration::from_millis(20);
        assert_eq!(load.since(start, span), None);
        while start.elapsed() < span {}
        let share = load.since(Instant::now(), span);
        // Other tests run beside this one, and other processes.
        assert!(share.is_some_and(|share| share > 0.1), "{share:?}");
        assert_eq!(load.since(Instant::now(), span), None);
    }
}
