//! `Pace`: the clock of a request's body, with a time for its next piece and a rate that it has to keep. Only the
//! time for which the peer is waited for counts.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::error::PeerError;

/// See the module's documentation.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The time since when the next piece is waited for, while it is.
    awaited_since: Option<Instant>,
    /// All waits before that.
    waited: Duration,
    /// Bytes that have come.
    received: u64,
}

/// The bounds of a [`Pace`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaceBounds {
    /// Time for the next piece. A time that no clock reaches is none.
    pub timeout: Duration,
    /// Bytes a second on average over all waits, once they have taken [`PaceBounds::GRACE`]; `None` for any rate.
    pub min_rate: Option<NonZeroU64>,
}

impl PaceBounds {
    /// The time that a body may take at any rate.
    pub const GRACE: Duration = Duration::from_secs(5);
}

impl Pace {
    /// The peer is waited for from `now` on, unless it was before.
    pub fn wait(&mut self, now: Instant) {
        self.awaited_since.get_or_insert(now);
    }

    /// The peer is not waited for any more.
    pub fn pause(&mut self, now: Instant) {
        if let Some(since) = self.awaited_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// A piece of `len` bytes has come.
    pub fn note(&mut self, now: Instant, len: usize) {
        self.pause(now);
        self.received += len as u64;
    }

    /// The time by which more must come, and the error of a peer that lets it pass. `None` while it is not waited for.
    pub fn deadline(&self, bounds: &PaceBounds) -> Option<(Instant, PeerError)> {
        let since = self.awaited_since?;
        let silent = since.checked_add(bounds.timeout);
        let slow = bounds.min_rate.and_then(|rate| {
            // Milliseconds: enough for any rate, and no number of bytes is too large.
            let earned = u128::from(self.received) * 1000 / u128::from(rate.get());
            let earned = Duration::from_millis(u64::try_from(earned).unwrap_or(u64::MAX));
            let allowed = PaceBounds::GRACE.saturating_add(earned);
            let left = allowed.saturating_sub(self.waited);
            since.checked_add(left)
        });
        let silent = silent.map(|at| (at, PeerError::TimedOut));
        let slow = slow.map(|at| (at, PeerError::TooSlow));
        [silent, slow]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn bounds(min_rate: u64) -> PaceBounds {
        PaceBounds {
            timeout: MINUTE,
            min_rate: NonZeroU64::new(min_rate),
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_piece_has_its_time_and_only_waits_count() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.deadline(&bounds(0)), None);
        pace.wait(now);
        pace.wait(now + secs(10));
        let late = |at| Some((at, PeerError::TimedOut));
        assert_eq!(pace.deadline(&bounds(0)), late(now + MINUTE));
        pace.note(now + secs(50), 1);
        assert_eq!(pace.deadline(&bounds(0)), None);
        pace.wait(now + secs(1000));
        assert_eq!(pace.deadline(&bounds(0)), late(now + secs(1000) + MINUTE));
    }

    #[test]
    fn a_rate_is_that_of_all_waits_together() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.wait(now);
        let slow = |at| Some((at, PeerError::TooSlow));
        assert_eq!(pace.deadline(&bounds(100)), slow(now + secs(5)));
        pace.note(now + secs(4), 250);
        pace.wait(now + secs(500));
        let left = Duration::from_millis(3500);
        assert_eq!(pace.deadline(&bounds(100)), slow(now + secs(500) + left));
        pace.note(now + secs(503), 1_000_000);
        pace.wait(now + secs(503));
        let late = (now + secs(563), PeerError::TimedOut);
        assert_eq!(pace.deadline(&bounds(100)), Some(late));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_none() {
        let mut pace = Pace::default();
        pace.wait(Instant::now());
        let endless = PaceBounds {
            timeout: Duration::MAX,
            min_rate: None,
        };
        assert_eq!(pace.deadline(&endless), None);
    }
}
