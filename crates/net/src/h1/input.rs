//! Input, from the stream through the engine to the application.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use granian_proto::{BodyLength, Event, PeerError, h2::PREFACE, ws};

use super::{Connection, Current, Held, Phase, Step};
use crate::bounds::{LINGER, READ_SIZE};
use crate::exchange::app::{Request, Source};
use crate::exchange::messages::{Opening, WebSocket};
use crate::exchange::{Exchange, Over};
use crate::limits::Versions;
use crate::service::Permit;
use crate::stream::socket::{Stream, poll_read_buf};

impl<S: Stream> Connection<S> {
    pub(super) fn step_serving(&mut self, cx: &mut Context<'_>) -> Step {
        if self.held.as_ref().is_some_and(|held| held.is_ready) {
            return self.start_held(cx);
        }
        if self.current.is_none() && self.engine.is_closing() {
            self.phase = Phase::Flushing;
            return self.step_flushing(cx);
        }
        if self.pull() {
            return Step::Again;
        }
        let has_room = self
            .current
            .as_ref()
            .is_none_or(|current| current.body_complete || current.exchange.has_body_room());
        if !self.is_http1 && self.is_preface() {
            return Step::Wait;
        }
        if (self.is_http1 || self.input.is_empty())
            && has_room
            && !self.is_behind()
            && let Some(event) = self.engine.poll_event(self.handle.now(), &mut self.input)
        {
            self.handle_event(cx, event);
            return Step::Again;
        }
        if self.ended && self.current.is_none() {
            self.phase = Phase::Flushing;
            return Step::Again;
        }
        if has_room && !self.ended && self.may_read() {
            return self.read(cx);
        }
        if self.io.is_hung_up() {
            self.tell_end();
        }
        self.wait_or_close()
    }

    /// Nothing is read now, so that only the poller can tell of a peer that is gone. What it sent
    /// and nobody has read goes with it.
    fn wait_or_close(&mut self) -> Step {
        if self.io.is_broken() {
            self.phase = Phase::Closed;
            return Step::Again;
        }
        Step::Wait
    }

    /// A response is on its way to a slow reader: the time for the next request begins after it.
    fn is_behind(&self) -> bool {
        self.current.is_none()
            && self.held.is_none()
            && self.input.is_empty()
            && !self.output.is_empty()
    }

    /// Asks the source of the current response for more, if the stream takes more. Not outside a
    /// turn: it may run Python code.
    fn pull(&mut self) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        let Some(mut source) = current.source.take() else {
            return false;
        };
        let takes_more = self.output.is_empty() || self.pull_deadline.is_some();
        let pulls = takes_more && self.service.app.may_start();
        if !pulls || self.pull_from(&mut *source) {
            if let Some(current) = &mut self.current {
                current.source = Some(source);
            }
        } else {
            self.pull_deadline = None;
        }
        pulls
    }

    /// What is queued is lent to the early writer while the source computes.
    fn pull_from(&mut self, source: &mut dyn Source) -> bool {
        let Some(socket) = self.io.socket() else {
            return source.pull();
        };
        let Some(queued) = self.output.take() else {
            return source.pull();
        };
        if queued.is_empty() {
            return source.pull();
        }
        let loan = self.service.early.lend(socket, queued);
        let more = source.pull();
        let (queued, sent) = loan.take_back();
        self.output.restore(queued, sent);
        more
    }

    /// A source's pieces gather for a moment; see `early`.
    pub(super) fn gathers_pieces(&mut self) -> bool {
        let has_source = self
            .current
            .as_ref()
            .is_some_and(|current| current.source.is_some());
        // What can't be lent to the early writer must not wait for the application.
        let is_lendable = self.io.socket().is_some() && self.output.is_in_one_buffer();
        if !has_source || !is_lendable || self.output.len() >= GATHER {
            self.pull_deadline = None;
            return false;
        }
        let now = Instant::now();
        let deadline = *self.pull_deadline.get_or_insert(now + GATHER_TIME);
        if now >= deadline {
            self.pull_deadline = None;
        }
        now < deadline
    }

    /// True if the first bytes are, or may become, the preface of HTTP/2 (RFC 9113, 3.4).
    fn is_preface(&mut self) -> bool {
        let len = self.input.len().min(PREFACE.len());
        if self.input[..len] != PREFACE[..len] {
            self.is_http1 = true;
            return false;
        }
        if len == PREFACE.len() {
            self.phase = Phase::Http2;
            return true;
        }
        false
    }

    /// The peer has ended its side.
    fn tell_end(&self) {
        if let Some(current) = &self.current {
            current.leave();
        }
    }

    /// While a response is awaited, only a little of what is pipelined behind it is read.
    fn may_read(&self) -> bool {
        let awaits_response = self
            .current
            .as_ref()
            .is_some_and(|current| current.body_complete);
        !awaits_response || self.input.len() < PREFETCH
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step {
        if self.input.capacity() == 0 {
            self.input = self.service.take_buffer();
        }
        match poll_read_buf(&mut self.io, cx, &mut self.input) {
            Poll::Pending => {
                if self.input.is_empty() {
                    self.service.give_buffer(std::mem::take(&mut self.input));
                }
                Step::Wait
            }
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                if let Some(event) = self.engine.handle_eof(&self.input) {
                    self.handle_event(cx, event);
                }
                self.tell_end();
                Step::Again
            }
            Poll::Ready(Ok(_)) => Step::Again,
            Poll::Ready(Err(_)) => {
                self.phase = Phase::Closed;
                Step::Wait
            }
        }
    }

    fn handle_event(&mut self, cx: &mut Context<'_>, event: Event) {
        if self.service.limits.versions == Versions::Http2 {
            return self.refuse_http1(&event);
        }
        match event {
            Event::Request(request) => self.take_request(cx, request),
            Event::Data(data) => self.handle_data(data),
            Event::End(_) => {
                if let Some(held) = &mut self.held {
                    held.body_complete = true;
                    held.is_ready = true;
                    held.exchange.end_body();
                } else if let Some(current) = &mut self.current {
                    current.body_complete = true;
                    current.exchange.end_body();
                    if self.ended {
                        self.tell_end();
                    }
                }
            }
            Event::Refused(error) => self.refuse(error),
        }
    }

    /// A peer that speaks HTTP/1 learns that it may not; one that speaks nothing, nothing.
    fn refuse_http1(&mut self, event: &Event) {
        match event {
            Event::Request(_) => self.refuse(PeerError::Version),
            _ => self.phase = Phase::Flushing,
        }
    }

    fn handle_data(&mut self, data: Bytes) {
        match (&mut self.held, &self.current) {
            (Some(held), _) if self.service.app.wants_whole_body() => {
                if held.exchange.spool_body(data).is_err() {
                    self.phase = Phase::Flushing; // no room on the disk: nothing can be promised
                }
            }
            (Some(held), _) => held.exchange.push_body(data),
            (None, Some(current)) => current.exchange.push_body(data),
            (None, None) => {}
        }
    }

    /// Takes in what has already come of the body, so that the application finds it there.
    fn take_request(&mut self, cx: &mut Context<'_>, request: granian_proto::Request) {
        let websocket = match self.opening(&request) {
            Ok(websocket) => websocket,
            Err(error) => return self.refuse(error),
        };
        if websocket.is_none() && self.upgrade_to_http2(&request) {
            return;
        }
        let has_body = request.body != BodyLength::Empty;
        let whole = self.service.app.wants_whole_body();
        if whole && request.expect_continue {
            self.engine.send_continue(self.output.tail());
        }
        let window = self.service.limits.window;
        // One of unknown length may be meant to be read as it comes, as one that is asked for is.
        let is_small = matches!(request.body, BodyLength::Sized(length) if length < window as u64);
        let waits =
            whole || (is_small && !request.expect_continue && self.service.app.wants_small_body());
        let exchange = Arc::new(Exchange::new(has_body, window));
        let held = Held {
            request,
            exchange: Arc::clone(&exchange),
            websocket,
            body_complete: !has_body,
            is_ready: !(has_body && waits),
        };
        // What is queued leaves first: the application may take its time.
        let starts_now = !has_body && self.output.is_empty() && self.service.app.may_start();
        if starts_now && let Poll::Ready(permit) = self.poll_enter(cx) {
            return self.start(held, permit);
        }
        self.held = Some(Box::new(held));
        while has_body && exchange.has_body_room() && self.held.is_some() {
            match self.engine.poll_event(self.handle.now(), &mut self.input) {
                Some(Event::End(trailers)) => return self.handle_event(cx, Event::End(trailers)),
                Some(event) => self.handle_event(cx, event),
                None => return,
            }
        }
    }

    /// What the request opens, if it is for a WebSocket connection.
    fn opening(&self, request: &granian_proto::Request) -> Result<Option<Opening>, PeerError> {
        let limits = &self.service.limits;
        let is_offered = request.upgrade
            && limits.websocket.enabled
            && self.service.app.speaks_websocket()
            && ws::Handshake::is_offered(&request.head);
        if !is_offered {
            return Ok(None);
        }
        if request.body != BodyLength::Empty {
            return Err(PeerError::Handshake);
        }
        let handshake = ws::Handshake::parse(&request.head, limits.websocket.deflate)?;
        Ok(Some(Opening {
            handshake: Arc::new(handshake),
            socket: Arc::new(WebSocket::new(limits.websocket.queue, limits.window)),
        }))
    }

    fn start_held(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.service.app.may_start() {
            cx.waker().wake_by_ref();
            return Step::Wait;
        }
        let Poll::Ready(permit) = self.poll_enter(cx) else {
            return self.wait_or_close();
        };
        if let Some(held) = self.held.take() {
            self.start(*held, permit);
        }
        Step::Again
    }

    fn poll_enter(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        let now = self.handle.now();
        self.service.poll_enter(cx, &mut self.ticket, now)
    }

    /// Calls the application.
    fn start(&mut self, held: Held, permit: Permit) {
        self.has_served = true;
        let Held {
            request,
            exchange,
            websocket,
            body_complete,
            ..
        } = held;
        self.current = Some(Current {
            exchange: Arc::clone(&exchange),
            _permit: permit,
            replies: VecDeque::new(),
            source: None,
            expects_continue: request.expect_continue && !body_complete,
            body_complete,
            websocket: websocket.clone(),
            head_deadline: None,
        });
        let source = self.service.app.call(Request {
            head: request.head,
            peer: Rc::clone(&self.peer),
            exchange,
            websocket,
            accepts_push: false,
        });
        if let Some(current) = &mut self.current {
            current.source = source;
        }
    }

    pub(super) fn refuse(&mut self, error: PeerError) {
        if self.current.is_none() {
            self.service.app.journal().refused(&self.peer, error);
        }
        let date = self.service.date(self.handle.now());
        let is_told = self.engine.send_refusal(error, &date, self.output.tail());
        self.cut_if_close_delimited();
        self.held = None;
        self.finish(match is_told {
            true => Over::Refused(error.status()),
            false => Over::Disconnected,
        });
        self.phase = Phase::Flushing;
    }

    pub(super) fn step_flushing(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.output.is_empty() {
            return Step::Wait;
        }
        if self.is_cut {
            self.phase = Phase::Closed;
            return Step::Again;
        }
        // Of a peer that has ended its side nothing more comes, nor should anything where it has sent
        // all that it may; one look tells.
        let is_over = self.ended || (self.engine.is_satisfied() && self.input.is_empty());
        let closes = self.ended || (is_over && !self.io.has_input());
        // The stream says at its next read what went wrong, if anything did.
        if Pin::new(&mut self.io).poll_shutdown(cx).is_pending() {
            if self.stall.is_clear() {
                self.stall
                    .start(self.handle.now(), self.service.limits.write_timeout);
            }
            return Step::Wait;
        }
        self.stall.clear();
        let now = self.handle.now();
        self.phase = if closes {
            Phase::Closed
        } else if is_over {
            Phase::Lingering(now)
        } else {
            Phase::Lingering(now + LINGER)
        };
        Step::Again
    }

    pub(super) fn step_lingering(&mut self, cx: &mut Context<'_>, until: Instant) -> Step {
        let now = self.handle.now();
        self.input.clear();
        match poll_read_buf(&mut self.io, cx, &mut self.input) {
            Poll::Pending if until <= now => {
                self.phase = Phase::Closed;
                Step::Again
            }
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.input.advance(count);
                if until <= now {
                    self.phase = Phase::Lingering(now + LINGER);
                }
                Step::Again
            }
            Poll::Ready(_) => {
                self.phase = Phase::Closed;
                Step::Again
            }
        }
    }
}

/// How much and how long a source's pieces gather before they are written.
const GATHER: usize = 32 * 1024;
const GATHER_TIME: Duration = Duration::from_millis(1);
/// Bytes read ahead of a response that is awaited.
const PREFETCH: usize = READ_SIZE;
