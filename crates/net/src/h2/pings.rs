//! `Pings`: keep-alive pings to a silent peer, and pings that measure how many bytes the path holds.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use crate::limits::Http2Limits;

/// The pings of one connection. One is under way at a time.
pub(super) struct Pings {
    codec: PingPong,
    interval: Option<Duration>,
    timeout: Duration,
    sent: Option<Instant>,
    /// The measured window; `None` if windows do not adapt.
    window: Option<Window>,
}

struct Window {
    size: u32,
    bytes: usize,
}

/// The connection's next step, as far as pings decide it.
pub(super) enum Verdict {
    Nothing,
    /// The path holds more than the windows allow: they are to be as large as this, in bytes.
    Widen(u32),
    /// The peer has not answered in time.
    Dead,
}

impl Pings {
    /// `None` if the options ask for neither keep-alive nor adaptive windows.
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
                size: options.initial_stream_window_size,
                bytes: 0,
            }),
        })
    }

    /// Counts received bytes. If windows adapt, the first of them start a measuring ping.
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
                Poll::Ready(Err(_)) => Verdict::Nothing, // the codec's next `poll_accept` has the error
                // The peer's answer may queue behind data, so `timeout` starts anew with all input.
                Poll::Pending
                    if self.interval.is_some() && sent.max(last_input) + self.timeout <= now =>
                {
                    Verdict::Dead
                }
                Poll::Pending => Verdict::Nothing,
            },
        }
    }

    /// The time at which `poll` is to be called again.
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

    /// The bytes between a ping and its answer are about what the path holds. If they fill two thirds of
    /// the window, the window may have been the bound, and becomes twice as large as they are.
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
