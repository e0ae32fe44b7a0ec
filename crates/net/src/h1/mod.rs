//! `Connection`: drives one HTTP/1 connection: bytes from the stream to the engine, its events to
//! the application, the application's replies through the engine to the stream.
//!
//! One task, one connection, no locks of its own. What is legal is the engine's business; what
//! time it is, how full a buffer may get and when to close is decided here.

mod end;
mod input;
mod replies;
mod request;
mod source;
mod upgrade;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use granian_proto::{Timeout, h1};

use crate::admission::queue::{Permit, Place};
use crate::bounds::STEPS_PER_TURN;
use crate::exchange::app::{BodyWish, Peer, Source};
use crate::exchange::messages::Opening;
use crate::exchange::reply::Reply;
use crate::exchange::{Exchange, Over};
use crate::h2;
use crate::limits::Versions;
use crate::runtime::reactor::TaskHandle;
use crate::service::{Service, Stage};
use crate::stream::output::Output;
use crate::stream::socket::Stream;
use crate::stream::stall::Stall;
use crate::ws::Upgraded;

/// What is to become of a stream when HTTP/1 is done with it.
pub(crate) enum Next<S> {
    /// Nothing: it is closed.
    Close,
    /// The peer speaks HTTP/2, by prior knowledge or after an upgrade.
    Http2(h2::Opened<S>),
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
    stall: Stall,
    unsent: usize,
    /// What is queued leaves after the tasks that are ready now have run.
    puts_off: bool,
    /// Until then a source is pulled from without writing in between.
    pull_deadline: Option<Instant>,
    /// A request has come.
    has_served: bool,
    place: Place,
    /// What the connection was upgraded to.
    opened: Option<Opening>,
    /// The upgrade to HTTP/2.
    upgrade: Option<Box<h2::Upgrade>>,
    /// The connection has shown that it speaks HTTP/1.
    is_http1: bool,
    peer: Arc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
}

/// The exchange in progress.
struct Current {
    exchange: Arc<Exchange>,
    _permit: Permit,
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
    /// How much of the body the application wants to start with.
    wish: BodyWish,
    /// That much has come.
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
    /// The stream belongs to HTTP/2 now: the peer has sent its preface, or is to send it next.
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
        peer: Arc<Peer>,
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
            stall: Stall::default(),
            unsent: 0,
            puts_off: false,
            pull_deadline: None,
            has_served: false,
            place: Place::default(),
            opened: None,
            upgrade: None,
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
            Phase::Http2 => Next::Http2(h2::Opened {
                io: self.io,
                input: self.input,
                upgrade: self.upgrade,
            }),
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
        if std::mem::take(&mut self.puts_off) {
            self.write(cx);
        }
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
            if !self.may_gather() && !self.gathers_pieces() && !self.may_put_off() {
                self.write(cx);
            }
            let step = match self.phase {
                Phase::Closed | Phase::Http2 | Phase::Upgraded => return,
                Phase::Serving => self.step_serving(cx),
                Phase::Flushing => self.step_flushing(cx),
                Phase::Lingering(until) => self.step_lingering(cx, until),
            };
            if matches!(step, Step::Wait) {
                // Behind the reading: this thread may have been busy past the deadline.
                if self.handle_engine_deadline(cx) {
                    continue;
                }
                if self.may_put_off() {
                    self.puts_off = true;
                    return self.handle.defer();
                }
                self.write(cx);
                return self.close_if_drained(cx);
            }
        }
        self.write(cx);
        if self.phase == Phase::Flushing {
            self.step_flushing(cx);
        }
        cx.waker().wake_by_ref();
    }

    fn handle_stage(&mut self) {
        match self.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining => self.engine.disable_keep_alive(),
            Stage::Cancelled => self.phase = Phase::Closed,
        }
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
        let timeout = self.service.limits.write_timeout;
        if self
            .stall
            .is_over(now, timeout, || self.io.unacknowledged())
        {
            self.io.reset_on_close();
            self.phase = Phase::Closed;
        }
    }

    /// True if the peer's time is up, and something follows from it.
    fn handle_engine_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.handle.now();
        if self.engine_deadline().is_none_or(|deadline| deadline > now) {
            return false;
        }
        match self.engine.handle_timeout(now) {
            Some(Timeout::Idle) if self.output.is_empty() => self.close(cx),
            Some(Timeout::Idle) => self.phase = Phase::Flushing,
            Some(Timeout::Refuse(error)) => self.refuse(error),
            None => return false,
        }
        true
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
        let next = [lingering, head, engine, drain, self.stall.deadline()];
        let next = next.into_iter().flatten().min();
        self.handle.set_deadline(next);
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
        let last = self.writes_last();
        self.io.set_end_follows(last);
        match self.output.poll_write(&mut self.io, cx, last) {
            Poll::Ready(Ok(())) => self.stall.clear(),
            Poll::Ready(Err(_)) => {
                self.phase = Phase::Closed;
                return;
            }
            Poll::Pending => {
                if self.stall.is_clear() || self.output.left() < before {
                    self.stall
                        .start(self.handle.now(), self.service.limits.write_timeout);
                }
            }
        }
        self.report_unsent();
    }

    /// Nothing follows what is queued but the end of our side.
    fn writes_last(&self) -> bool {
        let is_closing = self.phase == Phase::Flushing || self.engine.is_closing();
        is_closing && !self.is_cut && self.current.is_none() && self.held.is_none()
    }

    /// A small, complete response may leave together with those of other connections.
    fn may_put_off(&self) -> bool {
        self.current.is_none()
            && self.held.is_none()
            && self.phase == Phase::Serving
            && !self.output.is_empty()
            && self.output.left() <= PUT_OFF
            && !self.engine.is_closing()
            && self.service.stage.get() == Stage::Serving
            && self.handle.may_defer()
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
    }
}

/// Most bytes of a response that leaves together with those of other connections.
const PUT_OFF: u64 = 16 * 1024;
