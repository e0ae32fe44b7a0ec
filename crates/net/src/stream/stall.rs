//! `Stall`: the time for which a peer has taken none of the bytes that wait for it.
//!
//! A socket without room says little of its peer: the kernel reports room when a good part of its
//! buffer is free, which may be megabytes. So before the time is up, `Stall` looks at the bytes
//! that the peer has not acknowledged. A slow reader that reads on is not cut.

use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Stall {
    /// The time of the next look.
    at: Option<Instant>,
    /// Bytes that were not acknowledged at the last look.
    held: Option<usize>,
}

impl Stall {
    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// True while nothing waits.
    pub(crate) fn is_clear(&self) -> bool {
        self.at.is_none()
    }

    /// The stream is blocked, for the first time or again after it had taken something.
    pub(crate) fn start(&mut self, now: Instant, timeout: Duration) {
        self.at = Some(now + timeout / 2);
        self.held = None;
    }

    /// When to call `check`.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Looks whether the peer takes something: true if it has not for `timeout`. `held` tells how
    /// many bytes it has not acknowledged, if that can be told.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        timeout: Duration,
        held: impl FnOnce() -> Option<usize>,
    ) -> bool {
        if self.at.is_none_or(|at| at > now) {
            return false;
        }
        let held = held();
        let takes = match (self.held, held) {
            (None, _) => true,
            (Some(before), Some(held)) => held < before,
            (Some(_), None) => false,
        };
        if takes {
            self.at = Some(now + timeout / 2);
            self.held = Some(held.unwrap_or(0));
        }
        !takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// How many half timeouts a peer survives that has not acknowledged so many bytes at each.
    fn survived(held: &[Option<usize>]) -> usize {
        let mut now = Instant::now();
        let mut stall = Stall::default();
        stall.start(now, TIMEOUT);
        let is_alive = |held: &&Option<usize>| {
            now += TIMEOUT / 2;
            assert_eq!(stall.deadline(), Some(now));
            assert!(!stall.check(now - Duration::from_secs(1), TIMEOUT, || None));
            !stall.check(now, TIMEOUT, || **held)
        };
        held.iter().take_while(is_alive).count()
    }

    #[test]
    fn who_takes_nothing_has_one_timeout() {
        assert_eq!(survived(&[Some(9), Some(9), Some(9)]), 1);
        assert_eq!(survived(&[Some(0), Some(0)]), 1);
        assert_eq!(survived(&[None, None]), 1, "nobody can tell");
    }

    #[test]
    fn a_slow_reader_lives() {
        assert_eq!(survived(&[Some(9), Some(8), Some(7), Some(7), Some(7)]), 3);
    }

    #[test]
    fn a_stream_that_has_taken_something_begins_anew() {
        let now = Instant::now();
        let mut stall = Stall::default();
        stall.start(now, TIMEOUT);
        assert!(!stall.check(now + TIMEOUT / 2, TIMEOUT, || Some(9)));
        stall.start(now + TIMEOUT, TIMEOUT);
        assert_eq!(stall.deadline(), Some(now + 3 * (TIMEOUT / 2)));
        assert!(!stall.check(now + 2 * TIMEOUT, TIMEOUT, || Some(9)));
        assert!(stall.check(now + 3 * TIMEOUT, TIMEOUT, || Some(9)));
        stall.clear();
        assert!(stall.is_clear());
    }
}
