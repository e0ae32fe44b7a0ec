//! One HTTP/1.0 or HTTP/1.1 connection, server side (RFC 9112).
//!
//! The caller owns sockets, buffers and the clock. It appends what it received to an input buffer
//! and calls [`Connection::poll_event`] until that gives nothing; sends with the `send_*` and
//! `*_data` methods, which append to an output buffer; sleeps until [`Connection::poll_timeout`],
//! then calls [`Connection::handle_timeout`]. The engine keeps no bytes: an idle connection is a
//! few words.

mod body;
mod encode;
mod parse;
mod state;

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use self::body::{Decoder, Piece};
use self::state::{Receiving, Sending};
use crate::error::{PeerError, SendError};
use crate::event::{BodyLength, Content, Event, Request, Timeout};
use crate::head::{ResponseHead, Trailers, Version};

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of a request head.
    pub max_head_size: usize,
    /// Bytes of a request target.
    pub max_target_size: usize,
    /// Fields of a request head.
    pub max_fields: usize,
    /// Bytes of a request's body; `None` for any number.
    pub max_body_size: Option<u64>,
    /// From the first byte of a head, or the start of the connection, to the head's end.
    pub header_timeout: Duration,
    /// Between the end of a response and the first byte of the next request.
    pub keep_alive_timeout: Duration,
    /// Between two pieces of a body that the caller waits for; `None` for ever.
    pub body_timeout: Option<Duration>,
    /// Whether connections persist.
    pub keep_alive: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Connection {
    options: Options,
    receiving: Receiving,
    sending: Sending,
    /// Of the current request.
    version: Version,
    is_head: bool,
    keep_alive: bool,
    continue_expected: bool,
    deadline: Option<Instant>,
    /// Bytes of input in which no head was found.
    scanned: usize,
    /// Bytes of the body that were thrown away since its response was complete.
    discarded: u64,
}

impl Connection {
    /// A connection that was accepted at `now`.
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            options,
            receiving: Receiving::Head,
            sending: Sending::Idle,
            version: Version::Http11,
            is_head: false,
            keep_alive: options.keep_alive,
            continue_expected: false,
            deadline: Some(now + options.header_timeout),
            scanned: 0,
            discarded: 0,
        }
    }

    /// The next event, taken from the front of `input`. `None`: more input is needed, or the
    /// current response must be completed first, and `input` keeps what was not used.
    pub fn poll_event(&mut self, now: Instant, input: &mut BytesMut) -> Option<Event> {
        loop {
            let result = match &mut self.receiving {
                Receiving::Head => self.poll_head(now, input),
                Receiving::Body(_) => self.poll_body(now, input),
                Receiving::Complete | Receiving::Closed => return None,
            };
            match result {
                Ok(Some(Event::Data(data))) if self.sending == Sending::Complete => {
                    self.discarded += data.len() as u64;
                    if self.discarded > DISCARD {
                        self.close();
                    }
                }
                Ok(Some(Event::End(_))) if self.sending == Sending::Complete => self.recycle(now),
                Ok(event) => return event,
                Err(error) => {
                    self.close();
                    self.deadline = None;
                    return Some(Event::Refused(error));
                }
            }
        }
    }

    /// The peer has ended its sending side; `input` is what is left.
    pub fn handle_eof(&mut self, input: &BytesMut) -> Option<Event> {
        let cut = match &self.receiving {
            Receiving::Head => !input.is_empty(),
            Receiving::Body(_) => true,
            Receiving::Complete | Receiving::Closed => false,
        };
        self.keep_alive = false;
        if !matches!(self.receiving, Receiving::Complete) {
            self.receiving = Receiving::Closed;
        }
        self.deadline = None;
        cut.then_some(Event::Refused(PeerError::Malformed))
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Time has passed; `None` if no deadline has.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        if self.deadline? > now {
            return None;
        }
        self.deadline = None;
        let idle = matches!(self.receiving, Receiving::Head) && self.scanned == 0;
        self.close();
        Some(if idle { Timeout::Idle } else { Timeout::Refuse(PeerError::Timeout) })
    }

    /// No further request is taken after the current one; its response says so if it can.
    pub fn disable_keep_alive(&mut self) {
        self.keep_alive = false;
        self.options.keep_alive = false;
    }

    /// True between exchanges with nothing of a next one seen.
    pub fn is_idle(&self) -> bool {
        matches!(self.receiving, Receiving::Head) && self.scanned == 0
    }

    /// True if nothing more is to be received or sent: flush, then close.
    pub fn is_closing(&self) -> bool {
        match self.sending {
            Sending::Complete => !self.keep_alive || matches!(self.receiving, Receiving::Closed),
            Sending::Idle => matches!(self.receiving, Receiving::Closed),
            _ => false,
        }
    }

    /// True once the current response is complete; a new request makes it false.
    pub fn is_response_complete(&self) -> bool {
        self.sending == Sending::Complete || matches!(self.receiving, Receiving::Head)
    }

    /// True if only the connection's end says where the response ends.
    pub fn is_close_delimited(&self) -> bool {
        self.sending == Sending::UntilClose
    }

    fn poll_head(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<Event>, PeerError> {
        if self.sending != Sending::Idle {
            return Ok(None);
        }
        let fresh = input.get(self.scanned..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(None);
        }
        if self.scanned == 0 {
            self.deadline = Some(now + self.options.header_timeout);
        } else if memchr::memchr(b'\n', fresh).is_none()
            && input.len() <= self.options.max_target_size
        {
            // No further line is whole: parsing again would find the same.
            self.scanned = input.len();
            return Ok(None);
        }
        let Some(parsed) = parse::parse(input, &self.options)? else {
            self.scanned = input.len();
            return Ok(None);
        };
        input.advance(parsed.len);
        self.scanned = 0;
        self.deadline = None;
        self.version = parsed.head.version;
        self.is_head = parsed.head.method() == "HEAD";
        self.keep_alive = parsed.keep_alive && self.options.keep_alive;
        self.continue_expected = parsed.expect_continue;
        self.sending = Sending::Awaited;
        self.receiving = Receiving::Body(match parsed.body {
            BodyLength::Empty => Decoder::Sized(0),
            BodyLength::Sized(length) => Decoder::Sized(length),
            BodyLength::Chunked => Decoder::chunked(),
        });
        Ok(Some(Event::Request(Request {
            head: parsed.head,
            body: parsed.body,
            expect_continue: parsed.expect_continue,
            upgrade: parsed.upgrade,
        })))
    }

    fn poll_body(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<Event>, PeerError> {
        let Receiving::Body(decoder) = &mut self.receiving else { return Ok(None) };
        match decoder.decode(input, &self.options)? {
            Some(Piece::Data(data)) => {
                self.continue_expected = false;
                self.deadline = None;
                Ok(Some(Event::Data(data)))
            }
            Some(Piece::End(trailers)) => {
                self.continue_expected = false;
                self.deadline = None;
                self.receiving = Receiving::Complete;
                Ok(Some(Event::End(trailers)))
            }
            None => {
                if self.deadline.is_none() && !self.continue_expected {
                    self.deadline = self.options.body_timeout.map(|timeout| now + timeout);
                }
                Ok(None)
            }
        }
    }

    fn close(&mut self) {
        self.receiving = Receiving::Closed;
        self.keep_alive = false;
    }

    /// Both sides are complete: the next request may come.
    fn recycle(&mut self, now: Instant) {
        if !self.keep_alive {
            self.receiving = Receiving::Closed;
            return;
        }
        self.receiving = Receiving::Head;
        self.sending = Sending::Idle;
        self.discarded = 0;
        self.deadline = Some(now + self.options.keep_alive_timeout);
    }
}

/// Sending.
impl Connection {
    /// `100 Continue`, once, if the peer waits for it.
    pub fn send_continue(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.continue_expected, false) && self.sending == Sending::Awaited
        {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// An informational head; HTTP/1.0 has none, so nothing is sent there (RFC 9110, 15.2).
    ///
    /// # Errors
    /// `AlreadyStarted` after the final head.
    pub fn send_informational(
        &mut self,
        head: &ResponseHead,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.sending != Sending::Awaited {
            return Err(SendError::AlreadyStarted);
        }
        if self.version != Version::Http10 {
            encode::status_line(head.status(), head.reason.as_deref(), out);
            out.extend_from_slice(&head.lines);
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// The final head.
    ///
    /// # Errors
    /// `AlreadyStarted` if one was sent for this request.
    pub fn send_head(
        &mut self,
        head: &ResponseHead,
        content: Content,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.sending != Sending::Awaited {
            return Err(SendError::AlreadyStarted);
        }
        self.keep_alive &= !head.close && !self.leaves_much_unread();
        encode::status_line(head.status(), head.reason.as_deref(), out);
        out.extend_from_slice(&head.lines);
        self.sending = self.framing(head, content, out);
        if self.sending == Sending::UntilClose {
            self.keep_alive = false;
        }
        encode::standard_fields(head, date, out);
        if !self.keep_alive {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Starts a piece of the body of `len` bytes, of which the caller appends as many as are
    /// returned, then calls [`Connection::end_data`].
    ///
    /// # Errors
    /// `NotStarted` without a head, `TooMuchBody` beyond its content-length.
    pub fn begin_data(&mut self, len: u64, out: &mut Vec<u8>) -> Result<u64, SendError> {
        match &mut self.sending {
            Sending::Idle | Sending::Awaited | Sending::Complete => Err(SendError::NotStarted),
            Sending::Swallow => Ok(0),
            Sending::UntilClose => Ok(len),
            Sending::Sized(left) => {
                *left = left.checked_sub(len).ok_or(SendError::TooMuchBody)?;
                Ok(len)
            }
            Sending::Chunked => {
                if len > 0 {
                    encode::chunk_size(len, out);
                }
                Ok(len)
            }
        }
    }

    /// Ends a piece that was started with at least one byte.
    pub fn end_data(&mut self, out: &mut Vec<u8>) {
        if self.sending == Sending::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Ends the response. Trailers go out if it is chunked.
    ///
    /// # Errors
    /// `NotStarted` without a head; `TooLittleBody`: the connection must be cut.
    pub fn send_end(
        &mut self,
        now: Instant,
        trailers: Option<&Trailers>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self.sending {
            Sending::Idle | Sending::Awaited | Sending::Complete => {
                return Err(SendError::NotStarted);
            }
            Sending::Sized(left) if left > 0 => {
                self.close();
                return Err(SendError::TooLittleBody);
            }
            Sending::Chunked => encode::last_chunk(trailers, out),
            Sending::Sized(_) | Sending::UntilClose | Sending::Swallow => {}
        }
        self.sending = Sending::Complete;
        if matches!(self.receiving, Receiving::Complete) {
            self.recycle(now);
        }
        Ok(())
    }

    /// Answers a peer's error, unless a response has begun. The connection is closing then.
    pub fn send_refusal(&mut self, error: PeerError, date: &[u8; 29], out: &mut Vec<u8>) {
        self.close();
        if matches!(self.sending, Sending::Idle | Sending::Awaited) {
            encode::refusal(error, date, out);
            self.sending = Sending::Complete;
        }
    }

    fn framing(&self, head: &ResponseHead, content: Content, out: &mut Vec<u8>) -> Sending {
        let status = head.status();
        if matches!(status, 204 | 304) {
            return Sending::Swallow;
        }
        let sending = match (head.content_length(), content) {
            (Some(length), _) => Sending::Sized(length),
            (None, Content::Length(length)) => {
                encode::number_field(b"content-length", length, out);
                Sending::Sized(length)
            }
            (None, Content::Stream) if self.version == Version::Http10 => Sending::UntilClose,
            (None, Content::Stream) => {
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Sending::Chunked
            }
        };
        if self.is_head { Sending::Swallow } else { sending }
    }

    /// A body that would take long to throw away, or that the peer never starts to send.
    fn leaves_much_unread(&self) -> bool {
        match &self.receiving {
            Receiving::Body(decoder) => self.continue_expected || decoder.remaining() > DISCARD,
            _ => false,
        }
    }
}

/// Bytes of a body that are read for nothing to keep its connection.
const DISCARD: u64 = 64 * 1024;
