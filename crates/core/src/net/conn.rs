//! `Connection`: drives one HTTP/1 connection: bytes from the stream to the engine, its events to
//! the application, the application's replies through the engine to the stream.
//!
//! One task, one connection, no locks of its own. What is legal is the engine's business; what
//! time it is, how full a buffer may get and when to close is decided here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use granian_proto::{
    BodyLength, Content, Event, PeerError, SendError, Timeout, h1, h2::PREFACE, ws,
};

use super::app::{Peer, Request, Source};
use super::exchange::{Exchange, Over, Reply};
use super::io::{Stream, poll_read_buf};
use super::output::Output;
use super::service::{Service, Stage, Ticket, Versions};
use super::websocket::{Opening, WebSocket};
use super::ws::Upgraded;
use crate::runtime::reactor::TaskHandle;

/// What is to become of a stream when HTTP/1 is done with it.
pub(crate) enum Next<S> {
    /// Nothing: it is closed.
    Close,
    /// The peer speaks HTTP/2 by prior knowledge; `input` begins with its preface.
    Http2 { io: S, input: BytesMut },
    /// It was upgraded.
    WebSocket(Box<Upgraded<S>>),
}

/// One accepted connection.
pub(crate) struct Connection<S> {
    io: S,
    engine: h1::Connection,
    input: BytesMut,
    output: Output,
    current: Option<Current>,
    /// A request that waits for its turn or for a place among the active ones.
    held: Option<Box<Held>>,
    phase: Phase,
    /// The peer's sending side was read to its end.
    ended: bool,
    /// The end must not look like a proper one: only it would tell the peer that it has everything.
    is_cut: bool,
    /// By when the peer must have taken something of the output.
    write_deadline: Option<Instant>,
    unsent: usize,
    /// Until then a source is pulled from without writing in between.
    pull_deadline: Option<Instant>,
    /// A request has come.
    has_served: bool,
    ticket: Ticket,
    /// What the connection was upgraded to.
    opened: Option<Opening>,
    /// The connection has shown that it speaks HTTP/1.
    is_http1: bool,
    peer: Rc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
}

/// The exchange in progress.
struct Current {
    exchange: Arc<Exchange>,
    service: Rc<Service>,
    replies: VecDeque<Reply>,
    source: Option<Box<dyn Source>>,
    expects_continue: bool,
    body_complete: bool,
    websocket: Option<Opening>,
    /// A head waits for what follows it until then, so that both leave in one write.
    head_deadline: Option<Instant>,
}

struct Held {
    request: granian_proto::Request,
    exchange: Arc<Exchange>,
    websocket: Option<Opening>,
    body_complete: bool,
    /// As much of the body has come as the application wants to start with.
    is_ready: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Nothing more is read; the output goes out, then the connection closes.
    Flushing,
    /// The sending side is closed; what the peer still sends is thrown away, so that closing does
    /// not reset what it has not read yet (RFC 9112, 9.6).
    Lingering(Instant),
    Closed,
    /// The peer's first bytes were the preface of HTTP/2.
    Http2,
    /// The stream belongs to the WebSocket protocol now.
    Upgraded,
}

/// What one step of the drive loop came to.
enum Step {
    Again,
    Wait,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        io: S,
        peer: Rc<Peer>,
        service: Rc<Service>,
        handle: TaskHandle,
    ) -> Box<Self> {
        Box::new(Self {
            io,
            engine: h1::Connection::new(service.limits.http1, handle.now()),
            input: BytesMut::new(),
            output: Output::default(),
            current: None,
            held: None,
            phase: Phase::Serving,
            ended: false,
            is_cut: false,
            write_deadline: None,
            unsent: 0,
            pull_deadline: None,
            has_served: false,
            ticket: Ticket::default(),
            opened: None,
            is_http1: service.limits.versions == Versions::Http1,
            peer,
            service,
            handle,
        })
    }

    /// Serves the connection until it is closed or speaks another protocol. Boxed, since the state
    /// of an `async fn` holds what it is given more than once.
    pub(crate) async fn run(mut self: Box<Self>) -> Next<S> {
        poll_fn(|cx| self.poll(cx)).await;
        match self.phase {
            Phase::Http2 => Next::Http2 {
                io: self.io,
                input: self.input,
            },
            Phase::Upgraded => match self.opened.take() {
                Some(opening) => Next::WebSocket(Box::new(Upgraded {
                    io: self.io,
                    input: self.input,
                    output: self.output,
                    deflation: opening.handshake.deflation(),
                    socket: opening.socket,
                })),
                None => Next::Close,
            },
            _ => Next::Close,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.drive(cx);
        if matches!(self.phase, Phase::Closed | Phase::Http2 | Phase::Upgraded) {
            return Poll::Ready(());
        }
        if self.current.is_none() {
            self.output.release();
        }
        self.set_deadline();
        Poll::Pending
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.handle_stage();
        self.handle_deadlines();
        for _ in 0..STEPS_PER_TURN {
            self.take_replies(cx);
            if !self.may_gather() && !self.gathers_pieces() {
                self.write(cx);
            }
            let step = match self.phase {
                Phase::Closed | Phase::Http2 | Phase::Upgraded => return,
                Phase::Serving => self.step_serving(cx),
                Phase::Flushing => self.step_flushing(cx),
                Phase::Lingering(_) => self.step_lingering(cx),
            };
            if matches!(step, Step::Wait) {
                self.write(cx);
                return self.close_if_drained();
            }
        }
        self.write(cx);
        cx.waker().wake_by_ref();
    }

    fn handle_stage(&mut self) {
        match self.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining => self.engine.disable_keep_alive(),
            Stage::Cancelled => self.phase = Phase::Closed,
        }
    }

    /// A worker that drains has no use for a connection without a request, but waits a moment for
    /// one that is on its way: its peer could not know.
    fn close_if_drained(&mut self) {
        if self
            .drain_deadline()
            .is_some_and(|until| until <= self.handle.now())
        {
            self.phase = Phase::Closed;
        }
    }

    fn drain_deadline(&self) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        let is_due = !self.engine.is_idle() || !self.has_served || !self.input.is_empty();
        self.service.drain_grace(is_due)
    }

    fn is_idle(&self) -> bool {
        self.current.is_none()
            && self.held.is_none()
            && self.output.is_empty()
            && self.phase == Phase::Serving
    }

    fn handle_deadlines(&mut self) {
        let now = self.handle.now();
        if let Phase::Lingering(until) = self.phase
            && until <= now
        {
            self.phase = Phase::Closed;
        }
        if self.write_deadline.is_some_and(|deadline| deadline <= now) {
            self.io.reset_on_close();
            self.phase = Phase::Closed;
        }
        if self
            .engine_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            match self.engine.handle_timeout(now) {
                Some(Timeout::Idle) if self.output.is_empty() => self.phase = Phase::Closed,
                Some(Timeout::Idle) => self.phase = Phase::Flushing,
                Some(Timeout::Refuse(error)) => self.refuse(error),
                None => {}
            }
        }
    }

    /// The engine's deadline, unless it is us whom the request waits for.
    fn engine_deadline(&self) -> Option<Instant> {
        let awaits_place = self.held.as_ref().is_some_and(|held| held.is_ready);
        if self.phase != Phase::Serving || awaits_place {
            return None;
        }
        self.engine.poll_timeout()
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.output.is_empty() {
            return self.report_unsent();
        }
        let before = self.output.left();
        match self.output.poll_write(&mut self.io, cx) {
            Poll::Ready(Ok(())) => self.write_deadline = None,
            Poll::Ready(Err(_)) => {
                self.phase = Phase::Closed;
                return;
            }
            Poll::Pending => {
                if self.write_deadline.is_none() || self.output.left() < before {
                    self.write_deadline =
                        Some(self.handle.now() + self.service.limits.write_timeout);
                }
            }
        }
        self.report_unsent();
    }

    /// Answers to pipelined requests go out together while the next request is here already.
    fn may_gather(&self) -> bool {
        self.current.is_none()
            && self.phase == Phase::Serving
            && !self.input.is_empty()
            && !self.output.is_full(self.service.limits.window)
            && !self.engine.is_closing()
    }

    fn report_unsent(&mut self) {
        let unsent = self.output.len();
        if let Some(current) = &self.current
            && (unsent != self.unsent || unsent == 0)
        {
            current.exchange.set_unsent(unsent);
        }
        self.unsent = unsent;
    }
}

/// Replies, from the application to the output.
impl<S: Stream> Connection<S> {
    fn take_replies(&mut self, cx: &mut Context<'_>) {
        let window = self.service.limits.window;
        if self.current.is_some() && self.output.is_full(window) {
            self.write(cx);
        }
        let Some(current) = &mut self.current else {
            return;
        };
        if self.output.is_full(window) {
            // The socket says when it has taken some; until then the application may read.
            return current.exchange.watch(cx);
        }
        let now = self.handle.now();
        let head_too = current
            .head_deadline
            .is_some_and(|deadline| deadline <= now);
        if current
            .exchange
            .poll_replies(cx, &mut current.replies, head_too)
        {
            current.head_deadline.get_or_insert(now + HEAD_HOLD);
        }
        if current.expects_continue && current.exchange.wants_body() {
            current.expects_continue = false;
            self.engine.send_continue(self.output.tail());
        }
        while let Some(reply) = self
            .current
            .as_mut()
            .and_then(|current| current.replies.pop_front())
        {
            self.encode(reply);
        }
    }

    fn encode(&mut self, reply: Reply) {
        let aborts = matches!(reply, Reply::Abort);
        if aborts || self.try_encode(reply).is_err() {
            self.abort();
        } else if self.engine.is_upgraded() {
            self.opened = self
                .current
                .as_mut()
                .and_then(|current| current.websocket.take());
            self.finish(Over::Answered);
            self.phase = Phase::Upgraded;
        } else if self.engine.is_response_complete() {
            self.finish(Over::Answered);
            self.service.handled.set(self.service.handled.get() + 1);
        }
    }

    fn try_encode(&mut self, reply: Reply) -> Result<(), SendError> {
        let now = self.handle.now();
        let Self { engine, output, .. } = self;
        match reply {
            Reply::Informational(head) => engine.send_informational(&head, output.tail()),
            Reply::Head(head) => {
                let content = self.content_ahead();
                let date = self.service.date(now);
                self.engine
                    .send_head(&head, content, &date, self.output.tail())
            }
            Reply::Data { data, last } => {
                if !data.is_empty() {
                    let len = engine.begin_data(data.len() as u64, output.tail())?;
                    if len > 0 {
                        output.push(data);
                    }
                    engine.end_data(output.tail());
                }
                if last {
                    engine.send_end(None, output.tail())
                } else {
                    Ok(())
                }
            }
            Reply::File { mut file, last } => {
                if file.len > 0 {
                    file.len = engine.begin_data(file.len, output.tail())?;
                    if file.len > 0 {
                        output.push_file(file);
                    }
                    engine.end_data(output.tail());
                }
                if last {
                    engine.send_end(None, output.tail())
                } else {
                    Ok(())
                }
            }
            Reply::Upgrade(head) => {
                let date = self.service.date(now);
                self.engine
                    .send_upgrade(&head, "websocket", &date, self.output.tail())
            }
            Reply::End(trailers) => engine.send_end(trailers.as_ref(), output.tail()),
            Reply::Abort => Ok(()),
        }
    }

    /// How long the body is, if the reply behind the head is all of it.
    fn content_ahead(&self) -> Content {
        match self
            .current
            .as_ref()
            .and_then(|current| current.replies.front())
        {
            Some(Reply::Data { data, last: true }) => Content::Length(data.len() as u64),
            Some(Reply::File { file, last: true }) => Content::Length(file.len),
            Some(Reply::End(None)) => Content::Length(0),
            _ => Content::Stream,
        }
    }

    /// Cuts the connection behind what is queued: the peer must not take it for a whole response.
    fn abort(&mut self) {
        self.cut_if_close_delimited();
        self.finish(Over::Disconnected);
        self.phase = Phase::Flushing;
    }

    fn cut_if_close_delimited(&mut self) {
        if self.engine.is_close_delimited() {
            self.io.reset_on_close();
            self.is_cut = true;
        }
    }

    fn finish(&mut self, over: Over) {
        if let Some(current) = self.current.take() {
            current.exchange.finish(over);
        }
    }
}

/// Input, from the stream to the application.
impl<S: Stream> Connection<S> {
    fn step_serving(&mut self, cx: &mut Context<'_>) -> Step {
        if self.held.as_ref().is_some_and(|held| held.is_ready) {
            return self.start_held(cx);
        }
        if self.current.is_none() && self.engine.is_closing() {
            self.phase = Phase::Flushing;
            return Step::Again;
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
            self.handle_event(event);
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
        self.service.early.lend(socket, queued);
        let more = source.pull();
        let (queued, sent) = self.service.early.take_back();
        self.output.restore(queued, sent);
        more
    }

    /// A source's pieces gather for a moment; see `early`.
    fn gathers_pieces(&mut self) -> bool {
        let has_source = self
            .current
            .as_ref()
            .is_some_and(|current| current.source.is_some());
        if !has_source || self.io.socket().is_none() || self.output.len() >= GATHER {
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

    /// The peer has ended its side. What it sent of a body may still be on its way through the
    /// buffers, and comes first.
    fn tell_end(&self) {
        if let Some(current) = &self.current
            && current.body_complete
        {
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
            self.input = self.service.take_buffer(READ_SIZE);
        }
        match poll_read_buf(&mut self.io, cx, &mut self.input, READ_SIZE) {
            Poll::Pending => {
                if self.input.is_empty() {
                    self.service.give_buffer(std::mem::take(&mut self.input));
                }
                Step::Wait
            }
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                if let Some(event) = self.engine.handle_eof(&self.input) {
                    self.handle_event(event);
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

    fn handle_event(&mut self, event: Event) {
        if self.service.limits.versions == Versions::Http2 {
            return self.refuse_http1(&event);
        }
        match event {
            Event::Request(request) => self.hold(request),
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
    fn hold(&mut self, request: granian_proto::Request) {
        let websocket = match self.opening(&request) {
            Ok(websocket) => websocket,
            Err(error) => return self.refuse(error),
        };
        let has_body = request.body != BodyLength::Empty;
        let whole = self.service.app.wants_whole_body();
        if whole && request.expect_continue {
            self.engine.send_continue(self.output.tail());
        }
        let exchange = Arc::new(Exchange::new(has_body, self.service.limits.window));
        self.held = Some(Box::new(Held {
            request,
            exchange: Arc::clone(&exchange),
            websocket,
            body_complete: !has_body,
            is_ready: !(whole && has_body),
        }));
        while has_body && exchange.has_body_room() && self.held.is_some() {
            match self.engine.poll_event(self.handle.now(), &mut self.input) {
                Some(Event::End(trailers)) => return self.handle_event(Event::End(trailers)),
                Some(event) => self.handle_event(event),
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
        if self.service.poll_enter(cx, &mut self.ticket).is_pending() {
            return Step::Wait;
        }
        self.has_served = true;
        let Some(held) = self.held.take() else {
            return Step::Again;
        };
        let Held {
            request,
            exchange,
            websocket,
            body_complete,
            ..
        } = *held;
        self.current = Some(Current {
            exchange: Arc::clone(&exchange),
            service: Rc::clone(&self.service),
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
        });
        if let Some(current) = &mut self.current {
            current.source = source;
        }
        Step::Again
    }

    fn refuse(&mut self, error: PeerError) {
        self.service.app.refused(&self.peer, error);
        let date = self.service.date(self.handle.now());
        self.engine.send_refusal(error, &date, self.output.tail());
        self.cut_if_close_delimited();
        self.held = None;
        self.finish(Over::Disconnected);
        self.phase = Phase::Flushing;
    }

    fn step_flushing(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.output.is_empty() {
            return Step::Wait;
        }
        if self.ended || self.is_cut {
            self.phase = Phase::Closed;
            return Step::Again;
        }
        // The stream says at its next read what went wrong, if anything did.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        self.phase = Phase::Lingering(self.handle.now() + LINGER);
        Step::Again
    }

    fn step_lingering(&mut self, cx: &mut Context<'_>) -> Step {
        self.input.clear();
        match poll_read_buf(&mut self.io, cx, &mut self.input, READ_SIZE) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(count)) if count > 0 => {
                self.input.advance(count);
                Step::Again
            }
            Poll::Ready(_) => {
                self.phase = Phase::Closed;
                Step::Again
            }
        }
    }

    fn set_deadline(&self) {
        let lingering = match self.phase {
            Phase::Lingering(until) => Some(until),
            _ => None,
        };
        let head = self
            .current
            .as_ref()
            .and_then(|current| current.head_deadline);
        let head = head.filter(|deadline| *deadline > self.handle.now());
        let engine = self.engine_deadline();
        let drain = self.drain_deadline();
        let next = [lingering, head, engine, drain, self.write_deadline];
        let next = next.into_iter().flatten().min();
        self.handle.set_deadline(next);
    }
}

impl Current {
    /// The peer has ended its sending side.
    fn leave(&self) {
        self.exchange.leave();
        if let Some(opening) = &self.websocket {
            opening.socket.lose();
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(opening) = &self.websocket {
            opening.socket.lose();
        }
        // Answered exchanges are finished already; this one is cut off.
        self.exchange.finish(Over::Disconnected);
        self.service.exit();
    }
}

/// One connection's share of a turn.
const STEPS_PER_TURN: usize = 32;
const READ_SIZE: usize = 16 * 1024;
/// How much and how long a source's pieces gather before they are written.
const GATHER: usize = 32 * 1024;
const GATHER_TIME: Duration = Duration::from_millis(1);
/// Bytes read ahead of a response that is awaited.
const PREFETCH: usize = READ_SIZE;
/// How long a head waits for the body that usually follows at once.
const HEAD_HOLD: Duration = Duration::from_millis(20);
const LINGER: Duration = Duration::from_secs(2);
