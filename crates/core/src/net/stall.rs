//! `Stall`: for how long a peer has taken nothing of what waits for it.
//!
//! That a socket takes no more says little of its peer: the kernel tells of room when a good part of
//! its buffer is free, which may be megabytes. When time is about to be up, what the peer has not
//! acknowledged is looked at instead: a slow reader that reads on is not cut.

use std::time::{Duration, Instant};

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Stall {
    /// When to look again.
    at: Option<Instant>,
    /// Bytes that were not acknowledged at the last look.
    held: Option<usize>,
    /// Since when the stream has been blocked, for who keeps that by himself.
    since: Option<Instant>,
}

impl Stall {
    /// Nothing waits.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_clear(&self) -> bool {
        self.at.is_none()
    }

    /// The stream has just become blocked, or has taken something and is blocked again.
    pub(crate) fn start(&mut self, now: Instant, timeout: Duration) {
        self.at = Some(now + timeout / 2);
        self.held = None;
    }

    /// `start` or `clear`, by since when the stream has been blocked.
    pub(crate) fn follow(&mut self, since: Option<Instant>, timeout: Duration) {
        match since {
            None => self.clear(),
            Some(since) if self.since != Some(since) => {
                self.start(since, timeout);
                self.since = Some(since);
            }
            Some(_) => {}
        }
    }

    /// When to ask `is_over`.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// True if the peer has taken nothing for `timeout`. `held` tells how many bytes it has not
    /// acknowledged, if that can be told.
    pub(crate) fn is_over(
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
