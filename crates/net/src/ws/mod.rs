//! `Connection`: drives one open WebSocket connection over any stream: bytes from the stream to
//! the engine, messages to and from the application's [`MessageQueue`].
//!
//! One task, one connection. Pings, deadlines and the closing handshake are handled here; the
//! application sees messages and how the connection ended.

mod end;
mod outgoing;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use granian_proto::ws::{self, Deflation, Event, Timeout, code};

use crate::bounds::STEPS_PER_TURN;
use crate::budget::{Budget, Loan};
use crate::close::CloseCause;
use crate::exchange::messages::{Message, MessageQueue};
use crate::metrics::Present;
use crate::runtime::reactor::TaskHandle;
use crate::runtime::slice::Slice;
use crate::service::{AfterDrain, Service, Stage};
use crate::stream::output::Output;
use crate::stream::socket::Stream;
use crate::stream::wire::{Step, Wire};

/// A stream that was handed over to this protocol.
pub(crate) struct Upgraded<S> {
    pub(crate) io: S,
    /// Input that came behind the request.
    pub(crate) input: BytesMut,
    /// The answer to the request, if it has not left.
    pub(crate) output: Output,
    pub(crate) messages: Arc<MessageQueue>,
    pub(crate) deflation: Option<Deflation>,
    /// For messages that are inflated.
    pub(crate) budget: Budget,
}

/// One open connection.
pub(crate) struct Connection<S> {
    wire: Wire<S>,
    engine: ws::Connection,
    /// For the message that is being inflated; `None` where none are compressed.
    inflation: Option<Inflation>,
    messages: Arc<MessageQueue>,
    phase: Phase,
    /// The payload of the last ping that was not answered, because the peer does not read.
    ping: Option<Bytes>,
    /// The event that ends the connection once the application has answered the messages before it;
    /// by then at the latest.
    ending: Option<Box<(Event, Instant)>>,
    /// There is more to do, when others have had their turn.
    gives_way: bool,
    /// Messages that the application got in this turn.
    delivered: usize,
    _present: Present,
    service: Rc<Service>,
    handle: TaskHandle,
}

struct Inflation {
    budget: Budget,
    loan: Loan,
    /// Bytes that have come since the last message was given.
    received: usize,
    /// No message is read before.
    paused_until: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Messages go both ways.
    Open,
    /// The server has sent its Close for this cause; until the peer has answered it.
    Closing(CloseCause),
    /// The output goes out, then the connection closes; by then at the latest.
    Flushing {
        until: Instant,
        cause: CloseCause,
    },
    /// The sending side is closed; what the peer still sends is thrown away until then, so that
    /// closing does not reset what it has not read yet.
    Lingering {
        until: Instant,
        cause: CloseCause,
    },
    Closed(CloseCause),
}

impl<S: Stream> Connection<S> {
    pub(crate) fn new(
        upgraded: Upgraded<S>,
        service: Rc<Service>,
        handle: TaskHandle,
    ) -> Box<Self> {
        let limits = &service.limits.websocket;
        let codecs = Rc::clone(&service.codecs);
        let budget = upgraded.budget;
        let inflation = upgraded.deflation.map(|_| Inflation {
            loan: budget.lend(0),
            received: 0,
            paused_until: None,
            budget,
        });
        let engine =
            ws::Connection::new(&limits.engine(), upgraded.deflation, codecs, handle.now())
                .in_steps();
        let wire = Wire::new(
            upgraded.io,
            upgraded.input,
            upgraded.output,
            service.limits.timeouts.write,
        );
        Box::new(Self {
            wire,
            engine,
            inflation,
            messages: upgraded.messages,
            phase: Phase::Open,
            ping: None,
            ending: None,
            gives_way: false,
            delivered: 0,
            _present: Present::websocket(service.metrics()),
            service,
            handle,
        })
    }

    /// Serves the connection until it is closed; why it was. Boxed, since the state of an `async fn` holds what it is
    /// given more than once.
    pub(crate) async fn run(mut self: Box<Self>) -> CloseCause {
        poll_fn(|cx| {
            let over = self.poll(cx);
            self.handle.set_deadline(self.deadline());
            if self.gives_way {
                self.handle.give_way();
            }
            over
        })
        .await
    }

    /// Goes on as far as it can; for who drives it in place of `run`, keeps its deadline, and looks whether it
    /// `gives_way`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        self.drive(cx);
        if let Phase::Closed(cause) = self.phase {
            return Poll::Ready(cause);
        }
        self.wire.output.release();
        Poll::Pending
    }

    /// It is to be polled again when others have had their turn.
    pub(crate) fn gives_way(&self) -> bool {
        self.gives_way
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.handle_stage();
        self.handle_deadlines();
        self.gives_way = false;
        self.delivered = 0;
        let slice = Slice::default();
        for number in 0..STEPS_PER_TURN {
            self.take_outgoing(cx);
            self.write(cx);
            let step = match self.phase {
                Phase::Closed(_) => return,
                Phase::Open | Phase::Closing(_) => self.step_open(cx),
                Phase::Flushing { cause, .. } => self.step_flushing(cx, cause),
                Phase::Lingering { until, cause } => self.step_lingering(cx, until, cause),
            };
            if matches!(step, Step::Wait) {
                // Behind the reading: this thread may have been busy past the deadline.
                if self.handle_engine_deadline() {
                    continue;
                }
                // The event was answered without the application, such as a ping.
                return self.write(cx);
            }
            let is_over = self.delivered >= MESSAGES_PER_TURN;
            if is_over || (number > 0 && slice.is_over(&self.handle)) {
                break;
            }
        }
        self.write(cx);
        self.gives_way = true;
    }

    fn handle_stage(&mut self) {
        match self.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining if self.engine.is_open() => match self.service.after_drain.get() {
                AfterDrain::Nothing => {
                    self.begin_close(code::GOING_AWAY, "server is stopping", CloseCause::Drained);
                }
                AfterDrain::Restart => {
                    self.begin_close(
                        code::SERVICE_RESTART,
                        "server is restarting",
                        CloseCause::Drained,
                    );
                }
            },
            Stage::Draining => {}
            Stage::Cancelled => self.end_now(CloseCause::Cancelled),
        }
    }

    fn handle_deadlines(&mut self) {
        let now = self.handle.now();
        if let Phase::Lingering { until, cause } | Phase::Flushing { until, cause } = self.phase
            && until <= now
        {
            self.end_now(cause);
        }
        if self.wire.check_stall(now) {
            self.end_now(CloseCause::WriteTimeout);
        }
    }

    /// True if something follows from how long the peer has taken.
    fn handle_engine_deadline(&mut self) -> bool {
        if !matches!(self.phase, Phase::Open | Phase::Closing(_)) {
            return false;
        }
        let now = self.handle.now();
        match self.engine.handle_timeout(now) {
            None => return false,
            Some(Timeout::Ping) => {
                self.engine.send_ping(now, b"", self.wire.output.tail());
            }
            Some(Timeout::Silent) => {
                self.fail(
                    code::INTERNAL_ERROR,
                    "keepalive ping timeout",
                    CloseCause::PingTimeout,
                );
            }
            Some(Timeout::Idle) => {
                self.begin_close(code::GOING_AWAY, "idle", CloseCause::IdleTimeout);
            }
            Some(Timeout::Close) => self.end_now(CloseCause::PingTimeout),
        }
        true
    }

    /// When it wants to be polled whatever happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Open | Phase::Closing(_) => self.engine.poll_timeout(),
            Phase::Flushing { until, .. } | Phase::Lingering { until, .. } => Some(until),
            Phase::Closed(_) => None,
        };
        let ending = self.ending.as_ref().map(|ending| ending.1);
        let now = self.handle.now();
        let paused = self.paused_until().filter(|until| *until > now);
        [own, ending, paused, self.wire.stall_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn io_mut(&mut self) -> &mut S {
        &mut self.wire.io
    }
}

/// Input, from the stream to the application.
impl<S: Stream> Connection<S> {
    fn step_open(&mut self, cx: &mut Context<'_>) -> Step {
        if self.engine.is_closed() {
            self.flush(CloseCause::WebSocketClosed);
            return Step::Again;
        }
        let now = self.handle.now();
        if let Some(ending) = self.ending.take() {
            return self.end(now, *ending);
        }
        if self.is_paused(now) {
            self.engine.handle_pause(now);
            return Step::Wait;
        }
        if self.messages.poll_incoming_room().is_pending() {
            if self.wire.io.is_broken() {
                self.end_now(CloseCause::PeerLost);
                return Step::Again;
            }
            self.engine.handle_pause(now);
            return Step::Wait;
        }
        while let Some(event) = self.poll_event(now) {
            let goes_on = self.handle_event(now, event);
            if !goes_on || self.delivered >= MESSAGES_PER_TURN || self.is_paused(now) {
                return Step::Again;
            }
        }
        if self.engine.has_more(&self.wire.input) {
            return Step::Again; // of a message that is being inflated
        }
        self.read(cx)
    }

    /// The engine's next event. What it inflates is within the budget, and noted there.
    fn poll_event(&mut self, now: Instant) -> Option<Event> {
        let Some(inflation) = &mut self.inflation else {
            return self.engine.poll_event(now, &mut self.wire.input);
        };
        let Inflation { budget, loan, .. } = inflation;
        self.engine.set_allowance(loan.bytes() + budget.left());
        let before = self.wire.input.len();
        let event = self.engine.poll_event(now, &mut self.wire.input);
        loan.resize(self.engine.take_inflated());
        inflation.received += before - self.wire.input.len();
        if let Some(Event::Text(_) | Event::Binary(_)) = event {
            let received = std::mem::take(&mut inflation.received);
            let expansion = &self.service.expansion;
            inflation.paused_until = expansion.note(now, loan.bytes(), received);
        }
        event
    }

    /// The last message was so much larger than what came that the next one has to wait.
    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until().is_some_and(|until| until > now)
    }

    fn paused_until(&self) -> Option<Instant> {
        self.inflation.as_ref()?.paused_until
    }

    /// True if the next event can be looked at.
    fn handle_event(&mut self, now: Instant, event: Event) -> bool {
        match event {
            Event::Text(data) => self.deliver(data, true),
            Event::Binary(data) => self.deliver(data, false),
            Event::Ping(payload) => {
                if self.wire.output.len() < self.service.limits.window {
                    self.engine
                        .send_pong(now, &payload, self.wire.output.tail());
                } else {
                    self.ping = Some(payload);
                }
                true
            }
            Event::Pong(_) => true,
            event @ (Event::Close(_) | Event::Failed { .. }) => {
                self.ending = Some(Box::new((event, now + ENDING)));
                false
            }
        }
    }

    /// Messages that come behind our own Close are dropped.
    fn deliver(&mut self, data: Bytes, is_text: bool) -> bool {
        self.delivered += 1;
        let inflation = self.inflation.as_mut();
        let loan = inflation.and_then(|inflation| inflation.loan.take());
        !self.engine.is_open() || self.messages.push(Message { data, is_text }, loan)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step {
        match self.wire.poll_read(cx, &self.service.buffers) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(count)) if count > 0 => Step::Again,
            Poll::Ready(end) => {
                self.end_now(match end {
                    Ok(_) => CloseCause::PeerClosed,
                    Err(_) => CloseCause::PeerLost,
                });
                Step::Again
            }
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // Nothing if the end was a proper one.
        self.messages.lose();
    }
}

/// Messages after which others get their turn: the application needs more time for each than this server.
const MESSAGES_PER_TURN: usize = 128;
/// For the application to answer what came before the end.
const ENDING: Duration = Duration::from_secs(1);
