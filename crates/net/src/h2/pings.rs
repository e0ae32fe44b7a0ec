//! `Pings`: asks whether a silent peer is still there, and how much the path to it holds.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use crate::limits::Http2Limits;

/// The pings of one connection; one is under way at a time.
pub(super) struct Pings {
    codec: PingPong,
    interval: Option<Duration>,
    timeout: Duration,
    sent: Option<Instant>,
    /// Bytes of bodies since the ping under way, if windows adapt.
    window: Option<Window>,
}

struct Window {
    size: u32,
    bytes: usize,
}

/// What there is to do for the connection.
pub(super) enum Verdict {
    Nothing,
    /// The path holds more than the windows allow: open them this far.
    Widen(u32),
    /// The peer is gone.
    Dead,
}

impl Pings {
    /// `None` if the options ask for none.
    pub(super) fn new(codec: PingPong, options: &Http2Limits) -> Option<Self> {
        if options.keep_alive_interval.is_none() && !options.adaptive_window {
            return None;
        }
        Some(Self {
            codec,
            interval: options.keep_alive_interval,
            timeout: options.keep_alive_timeout,
            sent: None,
            window: options.adaptive_window.then_some(Window {
                size: options.stream_window,
                bytes: 0,
            }),
        })
    }

    /// So many bytes of bodies have come; their way is measured if windows adapt.
    pub(super) fn note_data(&mut self, now: Instant, count: usize) {
        let Some(window) = &mut self.window else {
            return;
        };
        window.bytes += count;
        if self.sent.is_none() && count > 0 {
            window.bytes = count;
            self.send(now);
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        last_input: Instant,
    ) -> Verdict {
        match self.sent {
            None => {
                if self
                    .interval
                    .is_some_and(|interval| last_input + interval <= now)
                {
                    self.send(now);
                }
                Verdict::Nothing
            }
            Some(sent) => match self.codec.poll_pong(cx) {
                Poll::Ready(Ok(_)) => {
                    self.sent = None;
                    self.measure()
                }
                Poll::Ready(Err(_)) => Verdict::Nothing, // the codec says more to its user
                // An answer may queue behind much that the peer sends.
                Poll::Pending
                    if self.interval.is_some() && sent.max(last_input) + self.timeout <= now =>
                {
                    Verdict::Dead
                }
                Poll::Pending => Verdict::Nothing,
            },
        }
    }

    /// When `poll` is to be called next.
    pub(super) fn deadline(&self, last_input: Instant) -> Option<Instant> {
        let interval = self.interval?;
        Some(self.sent.map_or(last_input + interval, |sent| {
            sent.max(last_input) + self.timeout
        }))
    }

    fn send(&mut self, now: Instant) {
        if self.codec.send_ping(Ping::opaque()).is_ok() {
            self.sent = Some(now);
        }
    }

    /// What came between a ping and its answer is about what the path holds; a window much like
    /// it may have been the bound.
    fn measure(&mut self) -> Verdict {
        let Some(window) = &mut self.window else {
            return Verdict::Nothing;
        };
        let bytes = std::mem::take(&mut window.bytes);
        let wanted = u32::try_from(bytes.saturating_mul(2)).unwrap_or(MAX_WINDOW);
        if bytes >= window.size as usize / 3 * 2 && wanted > window.size {
            window.size = wanted.min(MAX_WINDOW);
            return Verdict::Widen(window.size);
        }
        Verdict::Nothing
    }
}

const MAX_WINDOW: u32 = 16 * 1024 * 1024;
