//! `FrameWatch`: bounds on an HTTP/2 peer that the codec does not set. It reads the peer's bytes
//! beside the codec, counts the frames that cost more to receive than to send, and notes since when
//! a header section has been open. All other rules about frames are the codec's.

mod promise;
mod upgrade;

use std::time::{Duration, Instant};

use thiserror::Error;

pub use self::promise::Promise;
pub use self::upgrade::upgraded_request;

/// The client's connection preface (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The peer sends frames at a rate that only an attack has. `ENHANCE_YOUR_CALM` is the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Flood {
    /// PING, SETTINGS, PRIORITY and the like, with nothing to show for them.
    #[error("too many control frames")]
    Control,
    /// WINDOW_UPDATE, without output that calls for them (CVE-2019-9511).
    #[error("too many window updates")]
    Windows,
    /// RST_STREAM: requests made only to be taken back (CVE-2023-44487).
    #[error("too many stream resets")]
    Resets,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct FrameWatch {
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// The payload being skipped is the last of a header section.
    ends_section: bool,
    section_since: Option<Instant>,
    has_frame: bool,
    /// Bytes of a SETTINGS payload that have come, while one is being skipped.
    setting: Option<usize>,
    setting_bytes: [u8; SETTING_LEN],
    accepts_push: bool,
    control: Bucket,
    windows: Bucket,
    resets: Bucket,
}

impl FrameWatch {
    /// A watch over a connection that begins `now`, with its preface.
    pub fn new(now: Instant) -> Self {
        Self {
            skip: PREFACE.len(),
            head: [0; HEAD_LEN],
            head_len: 0,
            ends_section: false,
            section_since: None,
            has_frame: false,
            setting: None,
            setting_bytes: [0; SETTING_LEN],
            accepts_push: true,
            control: Bucket::new(CONTROL_BURST, CONTROL_STEP, now),
            windows: Bucket::new(WINDOW_BURST, CONTROL_STEP, now),
            resets: Bucket::new(RESET_BURST, RESET_STEP, now),
        }
    }

    /// Reads received bytes.
    ///
    /// # Errors
    /// When there are too many frames of a kind; the connection is to be closed.
    pub fn handle_input(&mut self, now: Instant, mut input: &[u8]) -> Result<(), Flood> {
        loop {
            let (skipped, rest) = input.split_at(self.skip.min(input.len()));
            self.skip -= skipped.len();
            input = rest;
            self.handle_settings(skipped);
            if self.skip == 0 && self.ends_section {
                self.ends_section = false;
                self.section_since = None;
            }
            if input.is_empty() {
                return Ok(());
            }
            let taken = (HEAD_LEN - self.head_len).min(input.len());
            let (part, rest) = input.split_at(taken);
            self.head[self.head_len..self.head_len + taken].copy_from_slice(part);
            self.head_len += taken;
            input = rest;
            if self.head_len == HEAD_LEN {
                self.head_len = 0;
                self.handle_frame(now)?;
            }
        }
    }

    /// Notes `count` bytes that were sent. A peer may answer them with WINDOW_UPDATE frames.
    pub fn handle_output(&mut self, count: usize) {
        self.windows
            .give(u32::try_from(count / OUTPUT_PER_WINDOW).unwrap_or(u32::MAX));
    }

    /// The time at which the open header section began; `None` without one.
    pub fn section_since(&self) -> Option<Instant> {
        self.section_since
    }

    /// Whether the peer takes responses to requests that it has not made.
    ///
    /// > The initial value of SETTINGS_ENABLE_PUSH is 1. For a client, this value indicates that it
    /// > is willing to receive PUSH_PROMISE frames.
    /// > — RFC 9113, 6.5.2 <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>
    pub fn accepts_push(&self) -> bool {
        self.accepts_push
    }

    /// True if the input so far ends with a whole frame, behind the preface and the first frame. A
    /// frame of the server's own can be inserted here.
    pub fn is_behind_first_frame(&self) -> bool {
        self.has_frame && self.head_len == 0 && self.skip == 0
    }

    /// Bytes that must arrive before `is_behind_first_frame` can be true again.
    pub fn sure_len(&self) -> usize {
        match self.skip {
            0 => HEAD_LEN - self.head_len,
            skip => skip,
        }
    }

    /// > Setting { Identifier (16), Value (32) } — RFC 9113, 6.5.1
    fn handle_settings(&mut self, payload: &[u8]) {
        let Some(mut at) = self.setting else { return };
        for byte in payload {
            self.setting_bytes[at % SETTING_LEN] = *byte;
            at += 1;
            if at % SETTING_LEN == 0
                && let [0, ENABLE_PUSH, value @ ..] = self.setting_bytes
            {
                self.accepts_push = u32::from_be_bytes(value) == 1;
            }
        }
        self.setting = (self.skip > 0).then_some(at);
    }

    /// > HTTP Frame { Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31), [...] }
    /// > — RFC 9113, 4.1 <https://www.rfc-editor.org/rfc/rfc9113#section-4.1>
    fn handle_frame(&mut self, now: Instant) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.has_frame = true;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.setting = (kind == SETTINGS && self.skip > 0).then_some(0);
        match kind {
            DATA if self.skip > 0 => self.control.give(1),
            HEADERS | CONTINUATION => {
                if kind == HEADERS {
                    self.control.give(1);
                }
                self.section_since.get_or_insert(now);
                self.ends_section = flags & END_HEADERS != 0;
            }
            DATA => {} // empty; the codec counts them
            WINDOW_UPDATE if !self.windows.take(now) => return Err(Flood::Windows),
            WINDOW_UPDATE => {}
            RST_STREAM if !self.resets.take(now) => return Err(Flood::Resets),
            RST_STREAM => {}
            PING | SETTINGS if flags & ACK != 0 => {}
            _ if !self.control.take(now) => return Err(Flood::Control),
            _ => {}
        }
        Ok(())
    }
}

/// A token bucket: `burst` tokens at first, one more after each `step`.
#[derive(Debug)]
struct Bucket {
    tokens: u32,
    burst: u32,
    step: Duration,
    filled: Instant,
}

impl Bucket {
    fn new(burst: u32, step: Duration, now: Instant) -> Self {
        Self {
            tokens: burst,
            burst,
            step,
            filled: now,
        }
    }

    fn give(&mut self, count: u32) {
        self.tokens = self.burst.min(self.tokens.saturating_add(count));
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.tokens == 0 {
            let steps = now.duration_since(self.filled).as_nanos() / self.step.as_nanos().max(1);
            self.tokens = u32::try_from(steps).unwrap_or(u32::MAX).min(self.burst);
            self.filled = now;
        }
        let has_token = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        has_token
    }
}

const HEAD_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ENABLE_PUSH: u8 = 2;
const SETTING_LEN: usize = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Control frames: a thousand at once. Each useful frame earns one more, and so does each
/// `CONTROL_STEP`.
const CONTROL_BURST: u32 = 1000;
const CONTROL_STEP: Duration = Duration::from_millis(10);
/// The smallest DATA frame with data has 10 bytes, 9 of them its header. A peer may answer it with
/// two WINDOW_UPDATE frames, one for the stream and one for the connection. So 5 sent bytes earn
/// one token, and tokens are saved up to `WINDOW_BURST`.
const OUTPUT_PER_WINDOW: usize = 5;
const WINDOW_BURST: u32 = 20_000;
/// Resets: what nghttp2 allows, a thousand at once and 33 a second.
const RESET_BURST: u32 = 1000;
const RESET_STEP: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests;
