//! `Timers`: the deadlines of a connection, computed when they are asked for.

use std::time::{Duration, Instant};

use super::{Options, Timeout};

/// The times of the last events, and the limits that count from them.
pub(super) struct Timers {
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    close_timeout: Duration,
    received: Instant,
    sent: Instant,
    message: Instant,
    /// When the oldest unanswered ping went out.
    ping: Option<Instant>,
    close: Option<Instant>,
}

impl Timers {
    pub(super) fn new(options: &Options, now: Instant) -> Self {
        Self {
            ping_interval: options.ping_interval,
            ping_timeout: options.ping_timeout,
            idle_timeout: options.idle_timeout,
            close_timeout: options.close_timeout,
            received: now,
            sent: now,
            message: now,
            ping: None,
            close: None,
        }
    }

    /// Something came in, which is as good as a pong.
    pub(super) fn note_received(&mut self, now: Instant) {
        self.received = now;
        self.ping = None;
    }

    pub(super) fn note_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// A message went in either direction.
    pub(super) fn note_message(&mut self, now: Instant) {
        self.message = now;
    }

    pub(super) fn note_ping(&mut self, now: Instant) {
        self.sent = now;
        self.ping = self.ping.or(Some(now));
    }

    pub(super) fn note_close(&mut self, now: Instant) {
        self.close = self.close.or(Some(now + self.close_timeout));
    }

    pub(super) fn close_by(&self) -> Option<Instant> {
        self.close
    }

    /// The next deadline of an open connection.
    pub(super) fn next(&self) -> Option<Instant> {
        let candidates = [self.silent_at(), self.ping_at(), self.idle_at()];
        candidates.into_iter().flatten().min()
    }

    /// Which deadline has passed.
    pub(super) fn expired(&self, now: Instant) -> Option<Timeout> {
        let candidates = [
            (self.silent_at(), Timeout::Silent),
            (self.idle_at(), Timeout::Idle),
            (self.ping_at(), Timeout::Ping),
        ];
        let mut passed = candidates
            .into_iter()
            .filter(|(at, _)| at.is_some_and(|at| at <= now));
        passed.next().map(|(_, timeout)| timeout)
    }

    fn silent_at(&self) -> Option<Instant> {
        Some(self.ping? + self.ping_timeout?)
    }

    /// A ping is due after silence of either side: proxies close connections for one-sided silence
    /// too.
    fn ping_at(&self) -> Option<Instant> {
        let silent = match self.ping {
            Some(_) => self.sent,
            None => self.received.min(self.sent),
        };
        Some(silent + self.ping_interval?)
    }

    fn idle_at(&self) -> Option<Instant> {
        Some(self.message + self.idle_timeout?)
    }
}
