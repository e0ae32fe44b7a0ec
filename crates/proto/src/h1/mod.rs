//! HTTP/1.1 and HTTP/1.0, server side: [`Connection`], the engine of one connection, and the
//! [`Options`] it works within.
//!
//! `lines.rs` finds lines and `parse.rs` makes heads of them; `target.rs` splits the request
//! target, `facts.rs` holds what the fields say of the message, `body.rs` decodes bodies.
//! `terms.rs` holds what a response depends on, `encode.rs` writes it. `state.rs` has the legal
//! moves, `deadline.rs` the time that each wait may take.

mod body;
mod deadline;
mod encode;
mod facts;
mod lines;
mod options;
mod parse;
mod state;
mod target;
mod terms;

use std::time::Instant;

use bytes::BytesMut;

use self::body::{Decoder, Piece};
use self::deadline::Deadline;
use self::encode::{
    Additions, Framing, write_head, write_informational, write_refusal, write_upgrade,
};
pub use self::options::Options;
use self::state::{Receive, Respond, State};
pub use self::target::is_host;
use crate::error::{PeerError, SendError};
use crate::event::{Content, Event, Timeout};
use crate::head::Version;
use crate::pace::Pace;
use crate::response::{ResponseHead, Trailers};

/// The server's side of one HTTP/1 connection.
///
/// - **Input**: append received bytes to a buffer, and call [`poll_event`] with it until it returns
///   None, also after each complete response. It removes the bytes it has used from the front. A
///   caller that pushes back does not call it. [`handle_eof`] says that the peer sends nothing
///   more.
/// - **Output**: the `send_` methods append the head and the framing to a buffer. The caller puts
///   the bytes of the body between [`begin_data`] and [`end_data`].
/// - **Time**: each of these may move the next deadline, which [`poll_timeout`] gives. Call
///   [`handle_timeout`] when it has passed.
/// - **The end**: once [`is_closing`] is true, send the bytes in the buffer and close the stream.
///
/// [`poll_event`]: Self::poll_event
/// [`handle_eof`]: Self::handle_eof
/// [`begin_data`]: Self::begin_data
/// [`end_data`]: Self::end_data
/// [`poll_timeout`]: Self::poll_timeout
/// [`handle_timeout`]: Self::handle_timeout
/// [`is_closing`]: Self::is_closing
pub struct Connection {
    options: Options,
    state: State,
    deadline: Deadline,
    pace: Pace,
    /// The peer's sending side is at its end.
    is_ended: bool,
    /// The current request is the peer's last one.
    is_last: bool,
    /// The last request was received whole, and answered.
    is_satisfied: bool,
}

/// Input and time.
impl Connection {
    /// The engine of a connection that was accepted at `now`.
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            options,
            state: State::new(),
            deadline: Deadline::first(now, &options),
            pace: Pace::default(),
            is_ended: false,
            is_last: false,
            is_satisfied: false,
        }
    }

    /// The next event, if `input` holds a whole one. Its bytes are removed from the front of
    /// `input`; the caller keeps the rest there and appends received bytes to it.
    ///
    /// The next request is not looked at before the response to this one is complete.
    pub fn poll_event(&mut self, now: Instant, input: &mut BytesMut) -> Option<Event> {
        let event = self.next_event(input);
        let awaited = std::mem::replace(&mut self.deadline, Deadline::None);
        match &event {
            Some(Event::Request(_)) => self.pace = Pace::default(),
            Some(Event::Data(data)) => self.pace.note(now, data.len()),
            Some(Event::End(_) | Event::Refused(_)) => {}
            None => self.deadline = awaited.next(&self.state, &self.options, now, &mut self.pace),
        }
        event
    }

    /// The peer's sending side is at its end. What is left in `input` still counts: go on calling
    /// [`poll_event`](Self::poll_event), which refuses what was cut off.
    pub fn handle_eof(&mut self, input: &BytesMut) -> Option<Event> {
        self.is_ended = true;
        if !input.is_empty() {
            return None;
        }
        let event = match &self.state.receive {
            Receive::Head(_) | Receive::Discard { .. } => self.handle_cut_off(false),
            Receive::Body(decoder) if !decoder.is_complete() => self.handle_cut_off(true),
            Receive::Body(_) | Receive::Complete | Receive::Closed => None,
        };
        if matches!(self.state.receive, Receive::Closed) {
            self.deadline = Deadline::None;
        }
        event
    }

    /// The next deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.at()
    }

    /// The deadline that has passed at `now`, if one has.
    ///
    /// > A server that receives an incomplete request message, usually due to a canceled request or
    /// > a triggered timeout exception, MAY send an error response prior to closing the connection.
    /// > — RFC 9112, 8 <https://www.rfc-editor.org/rfc/rfc9112#section-8>
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let error = match std::mem::replace(&mut self.deadline, Deadline::None) {
            Deadline::None => return None,
            Deadline::First(_) | Deadline::Idle(_) | Deadline::Discard(_) => {
                self.state.close();
                return Some(Timeout::Idle);
            }
            Deadline::Head(_) => PeerError::TimedOut,
            Deadline::Body(_, error) => error,
        };
        self.state.refuse_request();
        Some(Timeout::Refuse(error))
    }

    fn next_event(&mut self, input: &mut BytesMut) -> Option<Event> {
        loop {
            match &mut self.state.receive {
                Receive::Head(scan) => match scan.poll(input, &self.options) {
                    Ok(Some(parsed)) => {
                        let decoder = Decoder::new(parsed.request.body);
                        self.is_last = !parsed.terms.keep_alive;
                        self.state.start_request(parsed.terms, decoder);
                        return Some(Event::Request(parsed.request));
                    }
                    Ok(None) => {
                        let is_started = scan.is_started();
                        return self
                            .is_ended
                            .then(|| self.handle_cut_off(is_started))
                            .flatten();
                    }
                    Err(error) => return Some(self.refuse(error)),
                },
                Receive::Body(decoder) => {
                    let has_input = !input.is_empty();
                    let piece = decoder.poll(input, &self.options);
                    if has_input {
                        self.state.note_body();
                    }
                    return match piece {
                        Ok(Some(Piece::Data(data))) => Some(Event::Data(data)),
                        Ok(Some(Piece::End(trailers))) => {
                            self.state.end_request();
                            Some(Event::End(trailers))
                        }
                        Ok(None) => self.is_ended.then(|| self.handle_cut_off(true)).flatten(),
                        Err(error) => Some(self.refuse(error)),
                    };
                }
                Receive::Discard { decoder, budget } => match decoder.poll(input, &self.options) {
                    Ok(Some(Piece::Data(data))) if data.len() <= *budget => *budget -= data.len(),
                    Ok(Some(Piece::End(_))) => self.state.end_request(),
                    Ok(None) if !self.is_ended => return None,
                    // The response is out: an error in the rest of the request gets no answer.
                    Ok(_) | Err(_) => self.state.close(),
                },
                Receive::Complete | Receive::Closed => return None,
            }
        }
    }

    /// The peer's side ended; in the middle of a message if `is_started`.
    fn handle_cut_off(&mut self, is_started: bool) -> Option<Event> {
        if is_started {
            return Some(self.refuse(PeerError::Truncated));
        }
        self.state.close();
        None
    }

    fn refuse(&mut self, error: PeerError) -> Event {
        self.state.refuse_request();
        Event::Refused(error)
    }
}

/// Output.
impl Connection {
    /// Tells the peer to send the body, if it waits for that. Call it when the body is wanted.
    ///
    /// > A server MAY omit sending a 100 (Continue) response if it has already received some or all
    /// > of the content for the corresponding request
    /// > — RFC 9110, 10.1.1 <https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1>
    pub fn send_continue(&mut self, out: &mut Vec<u8>) {
        if let Ok(terms) = self.state.due()
            && terms.awaits_continue
        {
            terms.awaits_continue = false;
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// An informational head, made by [`ResponseHead::informational`].
    ///
    /// > A server MUST NOT send a 1xx response to an HTTP/1.0 client.
    /// > — RFC 9110, 15.2 <https://www.rfc-editor.org/rfc/rfc9110#section-15.2>
    pub fn send_informational(
        &mut self,
        head: &ResponseHead,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let terms = self.state.due()?;
        if !(102..200).contains(&head.status()) {
            return Err(SendError::WrongStatus);
        }
        if terms.version != Version::Http10 {
            write_informational(head, out);
        }
        Ok(())
    }

    /// The head of the response. Nothing was written if it fails.
    pub fn send_head(
        &mut self,
        head: &ResponseHead,
        content: Content,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let terms = *self.state.due()?;
        if head.status() < 200 {
            return Err(SendError::WrongStatus);
        }
        let (framing, line) = Framing::of(&terms, head, content);
        // > A server that does not support persistent connections MUST send the "close" connection
        // > option in every response message that does not have a 1xx (Informational) status code.
        // > — RFC 9112, 9.3
        //
        // > A server that responds with a final status code before reading the entire request
        // > content SHOULD indicate whether it intends to close the connection or continue reading
        // > the request content. — RFC 9110, 10.1.1
        let keep_alive = terms.keep_alive
            && self.options.keep_alive
            && !head.asks_close()
            && framing != Framing::Close
            && !terms.awaits_continue
            && self.state.is_reusable();
        let connection: Option<&'static [u8]> = match (keep_alive, terms.version) {
            (false, _) => Some(b"close"),
            (true, Version::Http10) => Some(b"keep-alive"),
            (true, _) => None,
        };
        write_head(
            head,
            &Additions {
                framing: line,
                date,
                connection,
            },
            out,
        );
        self.state.start_response(framing, keep_alive)
    }

    /// Goes before `len` bytes of the body. Returns how many of them are to be sent: all or, where
    /// there is to be no body, none.
    ///
    /// > Any response to a HEAD request and any response with a 1xx (Informational), 204 (No
    /// > Content), or 304 (Not Modified) status code is always terminated by the first empty line
    /// > after the header fields — RFC 9112, 6.3
    /// > <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
    pub fn begin_data(&mut self, len: u64, out: &mut Vec<u8>) -> Result<u64, SendError> {
        self.state.framing()?.begin_data(len, out)
    }

    /// Goes behind the bytes that [`begin_data`](Self::begin_data) was called for.
    pub fn end_data(&mut self, out: &mut Vec<u8>) {
        if let Ok(framing) = self.state.framing() {
            framing.end_data(out);
        }
    }

    /// Goes behind the body. Trailers are left out where the framing has no place for them.
    /// With [`SendError::TooLittleBody`] the response is given up: the connection must be cut.
    pub fn send_end(
        &mut self,
        trailers: Option<&Trailers>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if let Err(error) = self.state.framing()?.end(trailers, out) {
            self.state.cut();
            return Err(error);
        }
        self.deadline = Deadline::None;
        self.is_satisfied = self.is_last && self.state.is_request_complete();
        self.state.end_response()
    }

    /// Answers what the peer did wrong, if no head went out yet, and closes in any case. False if
    /// that went without a word.
    pub fn send_refusal(&mut self, error: PeerError, date: &[u8; 29], out: &mut Vec<u8>) -> bool {
        self.deadline = Deadline::None;
        let is_due = self.state.due().is_ok();
        if is_due {
            write_refusal(error, date, out);
            self.state.end_refusal();
        } else {
            self.state.cut();
        }
        is_due
    }

    /// Switches to `protocol`, in answer to a request that offers it. What is left of the input
    /// belongs to that protocol. Nothing was written if it fails.
    ///
    /// > A client cannot begin using an upgraded protocol on the connection until it has completely
    /// > sent the request message — RFC 9110, 7.8 <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>
    pub fn send_upgrade(
        &mut self,
        head: &ResponseHead,
        protocol: &str,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if head.status() != 101 {
            return Err(SendError::WrongStatus);
        }
        self.state.upgrade()?;
        write_upgrade(head, protocol.as_bytes(), date, out);
        Ok(())
    }

    /// The response whose head comes next is the last one.
    pub fn disable_keep_alive(&mut self) {
        self.options.keep_alive = false;
    }

    /// Whether nothing is under way: no response, no part of a request.
    pub fn is_idle(&self) -> bool {
        self.state.is_idle()
    }

    /// Whether the connection is to be closed as soon as all that was written is sent.
    pub fn is_closing(&self) -> bool {
        self.state.is_closing()
    }

    /// Whether the peer has nothing more to send.
    ///
    /// > A client that sends a "close" connection option MUST NOT send further requests on that
    /// > connection — RFC 9112, 9.6 <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>
    pub fn is_satisfied(&self) -> bool {
        self.is_satisfied
    }

    /// Whether no request awaits more of its response.
    pub fn is_response_complete(&self) -> bool {
        self.state.respond == Respond::Idle
    }

    /// Whether only the end of the connection tells the peer that the current response is
    /// complete. Cut off, it must not end like a complete one: reset the connection.
    pub fn is_close_delimited(&self) -> bool {
        self.state.is_close_delimited()
    }

    /// Whether the head of the current response was all that goes out of it: its body is swallowed.
    pub fn is_bodiless(&self) -> bool {
        self.state.is_bodiless()
    }

    /// Whether the connection belongs to another protocol.
    pub fn is_upgraded(&self) -> bool {
        self.state.respond == Respond::Upgraded
    }
}
