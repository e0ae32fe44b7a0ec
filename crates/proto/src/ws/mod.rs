//! WebSocket, server side: [`Connection`], the engine of one connection once it is open, and
//! [`Handshake`], which opens it.
//!
//! `frame.rs` reads and writes frame headers, `message.rs` puts messages together, `deflate.rs`
//! compresses, `utf8.rs` checks text, `close.rs` has the close codes, `state.rs` the legal moves
//! and `timer.rs` the deadlines.

mod close;
mod deflate;
mod frame;
mod handshake;
mod message;
mod state;
mod timer;
mod utf8;

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

pub use self::close::{CloseReason, code, fitting, is_sendable};
use self::deflate::Bounds;
pub use self::deflate::{Codecs, Deflation};
use self::frame::{Failure, Header, Opcode, write_header};
pub use self::handshake::Handshake;
use self::message::Assembly;
use self::state::State;
use self::timer::Timers;

/// The bounds that a connection works within.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of a message, inflated.
    pub max_message_size: usize,
    /// A ping goes out when one side has been silent for this long.
    pub ping_interval: Option<Duration>,
    /// Time within which something must arrive after a ping.
    pub ping_timeout: Option<Duration>,
    /// Longest time without a message in either direction.
    pub idle_timeout: Option<Duration>,
    /// Time that the peer has to answer a Close.
    pub close_timeout: Duration,
}

/// Something that came from the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message of text; valid UTF-8.
    Text(Bytes),
    /// A message of bytes.
    Binary(Bytes),
    /// A ping. The caller answers the last one with [`Connection::send_pong`].
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer closes. The caller answers with [`Connection::send_close`].
    Close(CloseReason),
    /// The peer erred. The caller says so with [`Connection::send_close`]; no more events follow.
    Failed {
        /// The close code.
        code: u16,
        /// The error in words.
        why: &'static str,
    },
}

/// A deadline that has passed, by its consequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// A ping is due.
    Ping,
    /// The last ping brought no sign of life: the peer is gone.
    Silent,
    /// No message for too long: close.
    Idle,
    /// The peer does not answer our Close.
    Close,
}

/// The server's side of one open WebSocket connection.
///
/// - **Input**: append received bytes to a buffer, and call [`poll_event`] with it until it returns
///   None. A caller that pushes back does not call it, but calls [`handle_pause`], so that the
///   silence does not count against the peer.
/// - **Output**: the `send_` methods append frames to a buffer.
/// - **Time**: each of these may move the next deadline, which [`poll_timeout`] gives. Call
///   [`handle_timeout`] when it has passed.
/// - **The end**: once [`is_closed`] is true, send the bytes in the buffer and close the stream.
///
/// [`poll_event`]: Self::poll_event
/// [`handle_pause`]: Self::handle_pause
/// [`poll_timeout`]: Self::poll_timeout
/// [`handle_timeout`]: Self::handle_timeout
/// [`is_closed`]: Self::is_closed
pub struct Connection {
    bounds: Bounds,
    deflation: Option<Deflation>,
    codecs: Rc<Codecs>,
    state: State,
    assembly: Assembly,
    timers: Timers,
    /// A message is inflated step by step, one in each call of `poll_event`.
    is_stepping: bool,
}

/// Input and time.
impl Connection {
    /// The engine of a connection that was opened at `now`.
    pub fn new(
        options: &Options,
        deflation: Option<Deflation>,
        codecs: Rc<Codecs>,
        now: Instant,
    ) -> Self {
        Self {
            bounds: Bounds {
                max_size: options.max_message_size,
                allowance: usize::MAX,
            },
            deflation,
            codecs,
            state: State::Open,
            assembly: Assembly::default(),
            timers: Timers::new(options, now),
            is_stepping: false,
        }
    }

    /// The same, but `poll_event` returns between two pieces of a message that is inflated: 16 KiB of input may be
    /// 16 MiB of it. [`has_more`](Self::has_more) then says that it is to be called again.
    #[must_use]
    pub fn in_steps(self) -> Self {
        Self {
            is_stepping: true,
            ..self
        }
    }

    /// True if `input`, of which `poll_event` has given no event, has more to inflate.
    pub fn has_more(&self, input: &BytesMut) -> bool {
        self.is_stepping && !input.is_empty() && self.assembly.awaits_payload()
    }

    /// The next event, if `input` holds a whole one. Its bytes are removed from the front of
    /// `input`; the caller keeps the rest there and appends received bytes to it.
    pub fn poll_event(&mut self, now: Instant, input: &mut BytesMut) -> Option<Event> {
        if !self.state.may_receive() {
            input.clear();
            return None;
        }
        let before = input.len();
        let result = self.next_event(input);
        if input.len() != before {
            self.timers.note_received(now);
        }
        match result {
            Ok(event) => {
                match &event {
                    Some(Event::Text(_) | Event::Binary(_)) => self.timers.note_message(now),
                    Some(Event::Close(_)) => self.state.end_receiving(),
                    _ => {}
                }
                event
            }
            Err((code, why)) => {
                self.state.end_receiving();
                self.assembly = Assembly::default();
                Some(Event::Failed { code, why })
            }
        }
    }

    /// Bytes that the next compressed message may inflate to, or the one in progress, if that is less than messages
    /// may have. One that is larger fails with `TRY_AGAIN_LATER`.
    pub fn set_allowance(&mut self, bytes: usize) {
        self.bounds.allowance = bytes;
    }

    /// Bytes that the message in progress was inflated to so far; else, once, those of the last message that
    /// `poll_event` has given. 0 for one that was not compressed.
    pub fn take_inflated(&mut self) -> usize {
        self.assembly.take_inflated()
    }

    /// Call this while nothing is read: the peer's silence then does not count.
    pub fn handle_pause(&mut self, now: Instant) {
        self.timers.note_received(now);
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open => self.timers.next(),
            State::Closing | State::Answering => self.timers.close_by(),
            State::Closed => None,
        }
    }

    /// The deadline that has passed at `now`, if one has.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let timeout = match self.state {
            State::Open => self.timers.expired(now)?,
            State::Closing | State::Answering => Timeout::Close,
            State::Closed => return None,
        };
        match timeout {
            Timeout::Ping | Timeout::Idle => {}
            Timeout::Silent => self.state.end_receiving(),
            Timeout::Close => self.state.cut(),
        }
        Some(timeout)
    }

    fn next_event(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Failure> {
        loop {
            if self.assembly.awaits_payload() {
                match self.assembly.push(input, &self.codecs, self.bounds)? {
                    Some(event) => return Ok(Some(event)),
                    None if self.is_stepping && self.assembly.is_inflating() => return Ok(None),
                    None if self.assembly.awaits_payload() && input.is_empty() => return Ok(None),
                    None => continue,
                }
            }
            let Some((header, len)) = Header::parse(input, self.deflation.is_some())? else {
                return Ok(None);
            };
            if header.opcode.is_control() {
                return message::control(&header, len, input);
            }
            self.assembly.check(&header, self.bounds.max_size)?;
            input.advance(len);
            if let Some(event) = self.assembly.whole(&header, input)? {
                return Ok(Some(event));
            }
            self.assembly.begin(&header, &self.codecs);
        }
    }
}

/// Output. Each method returns false, and writes nothing, if the state does not allow it.
impl Connection {
    /// A message of text.
    pub fn send_text(&mut self, now: Instant, text: &[u8], out: &mut Vec<u8>) -> bool {
        self.send_message(now, Opcode::Text, text, out)
    }

    /// A message of bytes.
    pub fn send_binary(&mut self, now: Instant, data: &[u8], out: &mut Vec<u8>) -> bool {
        self.send_message(now, Opcode::Binary, data, out)
    }

    /// The header of a message whose `len` bytes, uncompressed, follow. For large messages, which
    /// need not be copied then.
    pub fn begin_message(
        &mut self,
        now: Instant,
        is_text: bool,
        len: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let may_send = self.note_message(now);
        if may_send {
            let opcode = if is_text {
                Opcode::Text
            } else {
                Opcode::Binary
            };
            write_header(opcode, false, len, out);
        }
        may_send
    }

    /// Whether a message of `len` bytes goes out compressed.
    pub fn compresses(&self, len: usize) -> bool {
        self.deflation.is_some() && len >= COMPRESSED_FROM
    }

    /// A ping; asks for a sign of life.
    pub fn send_ping(&mut self, now: Instant, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let sent = self.send_control(Opcode::Ping, payload, out);
        if sent {
            self.timers.note_ping(now);
        }
        sent
    }

    /// The answer to a ping.
    ///
    /// > If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to
    /// > previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most
    /// > recently processed Ping frame. — RFC 6455, 5.5.3
    pub fn send_pong(&mut self, now: Instant, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let sent = self.send_control(Opcode::Pong, payload, out);
        if sent {
            self.timers.note_sent(now);
        }
        sent
    }

    /// Begins or answers the closing handshake. The code must be sendable; `reason` is cut to what
    /// fits.
    pub fn send_close(
        &mut self,
        now: Instant,
        code: Option<u16>,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> bool {
        let code = code.filter(|code| is_sendable(*code));
        if !self.state.send_close() {
            return false;
        }
        let reason = fitting(reason);
        match code {
            Some(code) => {
                write_header(Opcode::Close, false, 2 + reason.len(), out);
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(reason.as_bytes());
            }
            None => write_header(Opcode::Close, false, 0, out),
        }
        self.timers.note_close(now);
        true
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        self.state.may_send()
    }

    /// Whether nothing more goes in either direction.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn note_message(&mut self, now: Instant) -> bool {
        let may_send = self.state.may_send();
        if may_send {
            self.timers.note_sent(now);
            self.timers.note_message(now);
        }
        may_send
    }

    fn send_message(
        &mut self,
        now: Instant,
        opcode: Opcode,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.note_message(now) {
            return false;
        }
        match self.deflation {
            Some(deflation) if data.len() >= COMPRESSED_FROM => {
                let mut packed = Vec::new();
                if self.codecs.compress(deflation, data, &mut packed) {
                    write_header(opcode, true, packed.len(), out);
                    out.extend_from_slice(&packed);
                    return true;
                }
            }
            _ => {}
        }
        write_header(opcode, false, data.len(), out);
        out.extend_from_slice(data);
        true
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let fits = payload.len() <= close::MAX_CONTROL_PAYLOAD;
        if !self.state.may_send() || !fits {
            return false;
        }
        write_header(opcode, false, payload.len(), out);
        out.extend_from_slice(payload);
        true
    }
}

/// Bytes from which messages are compressed. Compressing has a fixed cost, and small messages gain
/// little.
const COMPRESSED_FROM: usize = 256;

#[cfg(test)]
mod tests;
