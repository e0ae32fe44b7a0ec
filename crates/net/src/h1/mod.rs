//! `Connection`: drives one HTTP/1 connection: bytes from the stream to the engine, its events to
//! the application, the application's replies through the engine to the stream.
//!
//! One task drives one connection, without locks of its own. The engine has the legal moves. The
//! connection has the clock, the bounds of its buffers, and the decision to close.

mod end;
mod input;
mod replies;
mod request;
mod slot;
mod source;
#[cfg(test)]
mod tests;
mod upgrade;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use granian_proto::{Timeout, h1};

use self::slot::Slot;
use crate::bounds::STEPS_PER_TURN;
use crate::close::{CloseCause, Limit};
use crate::exchange::app::Peer;
use crate::exchange::flights::InFlight;
use crate::exchange::messages::Opening;
use crate::h2;
use crate::limits::Versions;
use crate::runtime::reactor::TaskHandle;
use crate::runtime::slice::Slice;
use crate::service::{Service, Stage};
use crate::stream::output::Output;
use crate::stream::socket::Stream;
use crate::stream::wire::{Step, Wire};
use crate::ws::Upgraded;

/// The protocol that follows HTTP/1 on a stream, if one does.
pub(crate) enum Next<S> {
    /// Nothing: it is closed, for this cause.
    Close(CloseCause),
    /// The peer speaks HTTP/2, by prior knowledge or after an upgrade.
    Http2(h2::Opened<S>),
    /// It was upgraded.
    WebSocket(Box<Upgraded<S>>),
}

/// One accepted connection.
pub(crate) struct Connection<S> {
    wire: Wire<S>,
    engine: h1::Connection,
    slot: Slot,
    phase: Phase,
    /// The request whose response is complete and has not left.
    leaving: Option<InFlight>,
    /// More of the body has come, and the application, which waits for it, has not been told.
    is_untold: bool,
    /// The peer's sending side was read to its end.
    ended: bool,
    /// The decision about queued bytes at the end of the last turn: `PutOff` if this turn has to write them.
    left: Write,
    peer: Arc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
    /// Requests that have come.
    requests: u64,
}

/// The state of a connection.
enum Phase {
    /// Its first bytes are, or may become, the preface of HTTP/2.
    Sniffing,
    /// It speaks HTTP/1.
    Serving,
    /// Nothing more is read; the output goes out, then the connection closes. If it is `cut`, the
    /// end must not look like a proper one: only that would tell the peer that it has everything.
    Flushing {
        cut: bool,
        cause: CloseCause,
    },
    /// The sending side is closed; what the peer still sends is thrown away until then, so that
    /// closing does not reset what it has not read yet (RFC 9112, 9.6).
    Lingering {
        until: Instant,
        cause: CloseCause,
    },
    Closed(CloseCause),
    /// The stream belongs to HTTP/2 now: the peer has sent its preface, or is to send it behind an
    /// upgrade.
    Http2(Option<Box<h2::Upgrade>>),
    /// The stream belongs to the WebSocket protocol now.
    Upgraded(Opening),
}

/// When what is queued is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Now,
    /// With what follows at once: the response to a request that is here already, or more of a
    /// source's pieces. In this turn in any case.
    Gather,
    /// After the tasks that are ready now have run, together with what other connections have put
    /// off.
    PutOff,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        io: S,
        peer: Arc<Peer>,
        service: Rc<Service>,
        handle: TaskHandle,
    ) -> Box<Self> {
        Box::new(Self {
            wire: Wire::new(
                io,
                BytesMut::new(),
                Output::default(),
                service.limits.timeouts.write,
            ),
            engine: h1::Connection::new(service.limits.http1_engine(), handle.now()),
            slot: Slot::Fresh,
            phase: match service.limits.http {
                Versions::Http1 => Phase::Serving,
                Versions::All | Versions::Http2 => Phase::Sniffing,
            },
            leaving: None,
            is_untold: false,
            ended: false,
            left: Write::Now,
            peer,
            service,
            handle,
            requests: 0,
        })
    }

    /// Serves the connection until it is closed or speaks another protocol. Boxed, since the state
    /// of an `async fn` holds what it is given more than once.
    pub(crate) async fn run(mut self: Box<Self>) -> Next<S> {
        poll_fn(|cx| self.poll(cx)).await;
        let Self {
            wire,
            phase,
            service,
            ..
        } = *self;
        let (io, input, output) = wire.into_parts();
        match phase {
            Phase::Http2(upgrade) => Next::Http2(h2::Opened { io, input, upgrade }),
            Phase::Upgraded(opening) => Next::WebSocket(Box::new(Upgraded {
                io,
                input,
                output,
                deflation: opening.handshake.deflation(),
                budget: service.inflated.clone(),
                messages: opening.messages,
            })),
            Phase::Closed(cause)
            | Phase::Flushing { cause, .. }
            | Phase::Lingering { cause, .. } => Next::Close(cause),
            // Left only by a task that is dropped.
            Phase::Sniffing | Phase::Serving => Next::Close(CloseCause::Cancelled),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.left, Write::Now) == Write::PutOff {
            self.write(cx);
        }
        self.drive(cx);
        if std::mem::take(&mut self.is_untold)
            && let Some(current) = self.slot.current()
        {
            current.exchange.tell_body();
        }
        if self.is_done() {
            return Poll::Ready(());
        }
        if self.slot.current().is_none() {
            self.wire.output.release();
        }
        let is_stuck = !self.wire.output.is_empty();
        self.slot.enter(&self.service.flights, is_stuck);
        self.set_deadline();
        Poll::Pending
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.handle_stage();
        self.handle_deadlines();
        let slice = Slice::default();
        for number in 1..=STEPS_PER_TURN {
            self.take_replies(cx);
            self.step_gathering();
            if self.write_policy() == Write::Now {
                self.write(cx);
            }
            let step = match self.phase {
                Phase::Closed(_) | Phase::Http2(_) | Phase::Upgraded(_) => return,
                Phase::Sniffing => self.step_sniffing(cx),
                Phase::Serving => self.step_serving(cx),
                Phase::Flushing { cut, cause } => self.step_flushing(cx, cut, cause),
                Phase::Lingering { until, cause } => self.step_lingering(cx, until, cause),
            };
            if matches!(step, Step::Wait) {
                // Behind the reading: this thread may have been busy past the deadline.
                if self.handle_engine_deadline(cx)
                    || self.handle_overdue()
                    || self.handle_eviction()
                {
                    continue;
                }
                if self.write_policy() == Write::PutOff {
                    self.left = Write::PutOff;
                    return self.handle.defer();
                }
                self.write(cx);
                self.close_if_drained(cx);
                return self.close_if_crowded(cx);
            }
            if number % STEPS_PER_LOOK == 0 && slice.is_over(&self.handle) {
                break;
            }
        }
        self.write(cx);
        if let Phase::Flushing { cut, cause } = self.phase {
            self.step_flushing(cx, cut, cause);
        }
        self.handle.give_way();
    }

    fn handle_stage(&mut self) {
        match self.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining => self.engine.disable_keep_alive(),
            Stage::Cancelled => self.end_now(CloseCause::Cancelled),
        }
    }

    /// No request is under way, nor anything of a response.
    fn is_idle(&self) -> bool {
        self.slot.is_empty() && self.wire.output.is_empty() && self.is_open()
    }

    /// Requests are taken.
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Sniffing | Phase::Serving)
    }

    /// Nothing more is to be done here.
    fn is_done(&self) -> bool {
        let phase = &self.phase;
        matches!(
            phase,
            Phase::Closed(_) | Phase::Http2(_) | Phase::Upgraded(_)
        )
    }

    fn handle_deadlines(&mut self) {
        let now = self.handle.now();
        if let Phase::Lingering { until, cause } = self.phase
            && until <= now
        {
            self.end_now(cause);
        }
        if self.wire.check_stall(now) {
            self.end_now(CloseCause::WriteTimeout);
        }
    }

    /// True if the peer's time is up, and something follows from it.
    fn handle_engine_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.handle.now();
        if self.engine_deadline().is_none_or(|deadline| deadline > now) {
            return false;
        }
        match self.engine.handle_timeout(now) {
            Some(Timeout::Idle) => {
                let limit = match self.slot {
                    Slot::Fresh => Limit::Http1HeaderReadTimeout,
                    _ => Limit::KeepAliveTimeout,
                };
                self.service.note_limit(&self.peer, limit);
                if self.wire.output.is_empty() {
                    self.close(cx, CloseCause::IdleTimeout);
                } else {
                    self.flush(CloseCause::IdleTimeout);
                }
            }
            Some(Timeout::Refuse(error)) => self.refuse(error),
            None => return false,
        }
        true
    }

    fn set_deadline(&self) {
        let mut next = self.engine_deadline();
        let mut note = |at: Option<Instant>| {
            if let Some(at) = at {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        match &self.slot {
            Slot::Fresh | Slot::Idle => note(self.drain_deadline()),
            Slot::Held(held) => {
                note(held.wait.deadline());
                note(held.overdue_at);
            }
            Slot::Running(current) => {
                let now = self.handle.now();
                note(current.head_deadline.filter(|deadline| *deadline > now));
                note(current.overdue_at);
            }
        }
        if let Phase::Lingering { until, .. } = self.phase {
            note(Some(until));
        }
        note(self.wire.stall_deadline());
        self.handle.set_deadline(next);
    }

    /// The engine's deadline, unless it is us whom the request waits for.
    fn engine_deadline(&self) -> Option<Instant> {
        if !self.is_open() || self.slot.is_ready() {
            return None;
        }
        self.engine.poll_timeout()
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if !self.wire.output.is_empty() {
            let last = self.writes_last();
            if let Err(error) = self.wire.write(cx, self.handle.now(), last) {
                return self.end_now(CloseCause::of_write(&error));
            }
        }
        if self.wire.output.is_empty() {
            self.leaving = None;
        }
        if let Some(current) = self.slot.current()
            && let Some(unsent) = self.wire.take_unsent()
        {
            current.exchange.set_unsent(unsent);
        }
    }

    /// Nothing follows what is queued but the end of our side.
    fn writes_last(&self) -> bool {
        let is_closing = match self.phase {
            Phase::Flushing { cut, .. } => !cut,
            _ => self.engine.is_closing(),
        };
        is_closing && self.slot.is_empty()
    }

    /// When what is queued is to be written.
    fn write_policy(&self) -> Write {
        if self.wire.output.is_empty() {
            return Write::Now;
        }
        if let Slot::Running(current) = &self.slot {
            let source = current.source.as_ref();
            return match source.and_then(|pulled| pulled.gathers_until) {
                Some(_) => Write::Gather,
                None => Write::Now,
            };
        }
        if !matches!(self.phase, Phase::Serving) || self.engine.is_closing() {
            return Write::Now;
        }
        if self.wire.output.left() <= PUT_OFF
            && self.slot.is_empty()
            && self.service.stage.get() == Stage::Serving
            && self.service.limits.mechanisms.deferred_writes
            && self.handle.may_defer()
        {
            return Write::PutOff;
        }
        let has_next =
            !self.wire.input.is_empty() && !self.wire.output.is_full(self.service.limits.window);
        match has_next {
            true => Write::Gather,
            false => Write::Now,
        }
    }
}

/// Steps, two or three of which are a request, between two looks at the clock.
const STEPS_PER_LOOK: usize = 8;
/// Most bytes of a response that leaves together with those of other connections.
const PUT_OFF: u64 = 16 * 1024;
