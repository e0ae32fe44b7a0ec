//! `Answering`: an exchange from its request's head until the response and the rest of the request
//! are over.

mod deadlines;
mod ending;
mod held;
mod receiving;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use granian_proto::RequestHead;

use self::deadlines::left_of;
use self::held::{Held, declared_length};
use super::after_response::OpenWebSocket;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Sent};
use super::shared::{Alarm, Shared};
use super::stream_io::{ResetReason, StreamIo};
use crate::bounds::HEAD_HOLD;
use crate::close::Limit;
use crate::exchange::app::{BodyWish, Request, Source};
use crate::exchange::flights::InFlight;
use crate::exchange::messages::Opening;
use crate::exchange::record::Reason;
use crate::exchange::reply::Reply;
use crate::exchange::{Exchange, Over, SPOOL_THRESHOLD};
use crate::metrics::{Meter, Moment};

/// See the module's documentation.
pub(super) struct Answering<S: StreamIo> {
    shared: Rc<Shared>,
    ends: Ends,
    phase: Phase,
    io: S,
    /// The request's body; `None` if it has none.
    incoming: Option<Incoming>,
    /// The peer holds the body back until it is told to go on.
    awaits_continue: bool,
    outgoing: Outgoing,
    replies: VecDeque<Reply>,
    source: Option<Box<dyn Source>>,
    /// The time until which a head waits for its body.
    head_deadline: Option<Instant>,
    /// The time since when the peer has taken nothing of the replies that wait for it.
    blocked_since: Option<Instant>,
    /// The time by which the response must be complete.
    overdue_at: Option<Instant>,
    alarm: Alarm,
    meter: Meter,
    /// While the request or its response waits. A WebSocket connection is no request any more.
    flight: Option<InFlight>,
}

enum Phase {
    /// The request waits for what the application wants of its body, for its turn, or for a place among the active
    /// ones.
    Held(Held),
    /// The application was called.
    Called,
    /// The response is complete and the request is not. The rest is thrown away for a moment before the
    /// stream is reset: some clients take a reset for a failure.
    Discarding { until: Instant },
}

/// The connection's ends of the objects that the application holds, too. Dropping them tells the application that
/// the peer is gone.
struct Ends {
    exchange: Arc<Exchange>,
    /// The WebSocket connection that the request asks for, until it is open.
    opening: Option<Opening>,
}

/// The result of a poll.
pub(super) enum Progress {
    Wait,
    Over,
    /// The stream is the WebSocket protocol's now.
    Opened,
}

enum Step {
    Again,
    Wait,
    Over,
    Opened,
}

impl<S: StreamIo> Answering<S> {
    pub(super) fn new(
        shared: Rc<Shared>,
        head: Arc<RequestHead>,
        opening: Option<Opening>,
        io: S,
    ) -> Self {
        let is_whole = io.is_end_stream();
        // Bytes for a WebSocket connection stay with the protocol until it is open.
        let has_body = !is_whole && opening.is_none();
        let is_head_request = head.method() == "HEAD";
        let awaits_continue = has_body && head.field(b"expect").is_some();
        let now = shared.now();
        let service = &shared.service;
        let exchange = service.receive(head, &shared.peer, has_body, now);
        let meter = service.meter(&exchange);
        if has_body {
            exchange.tell_taking();
        }
        let has_input = has_body || opening.is_some();
        let mut incoming = has_input.then(|| {
            let limits = &shared.service.limits;
            Incoming::new(is_whole, limits.request.max_body_size)
        });
        let head = &exchange.origin().head;
        let length = has_body.then(|| declared_length(head)).flatten();
        if let (Some(incoming), Some(length)) = (&mut incoming, length) {
            incoming.declare(length);
        }
        let held = Held::new(head, has_body, length, &shared);
        if held.awaits_body {
            meter.note_reading();
        }
        Self {
            meter,
            incoming,
            awaits_continue,
            outgoing: Outgoing::new(is_head_request, Rc::clone(&shared)),
            phase: Phase::Held(held),
            ends: Ends { exchange, opening },
            io,
            replies: VecDeque::new(),
            source: None,
            head_deadline: None,
            blocked_since: None,
            overdue_at: shared.service.overdue_at(now),
            alarm: Alarm::new(Rc::clone(&shared)),
            flight: None,
            shared,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Progress {
        if let Phase::Discarding { until } = self.phase {
            return self.poll_discard(cx, until);
        }
        if let Err(broken) = self.receive(cx) {
            return self.give_up(cx, broken);
        }
        match self.begin(cx) {
            Err(limit) => return self.turn_away(cx, limit),
            Ok(false) => {}
            // The replies that the application has made bound the loop: a pull is not repeated in here.
            Ok(true) => loop {
                match self.respond(cx) {
                    Step::Again => {}
                    Step::Wait => break,
                    Step::Over => return Progress::Over,
                    Step::Opened => return Progress::Opened,
                }
            },
        }
        if let Phase::Discarding { until } = self.phase {
            return self.poll_discard(cx, until);
        }
        self.invite_body();
        // The application takes body bytes meanwhile without waking this future.
        let is_behind = |incoming: &Incoming| incoming.is_behind(&self.ends.exchange);
        if self.incoming.as_ref().is_some_and(is_behind)
            && let Err(broken) = self.receive(cx)
        {
            return self.give_up(cx, broken);
        }
        if self.outgoing.poll_reset(cx, &mut self.io).is_ready() {
            return Progress::Over;
        }
        self.follow_pace();
        let is_stuck =
            self.blocked_since.is_some() || self.shared.is_clogged() || !self.replies.is_empty();
        if is_stuck {
            // No replies were asked for, so nothing else wakes this future when its exchange is evicted.
            self.ends.exchange.watch(cx);
        }
        if let Some(expired) = self.expired() {
            return self.end_expired(cx, expired);
        }
        let flights = &self.shared.service.flights;
        flights.note_waiting(&mut self.flight, &self.ends.exchange, is_stuck);
        let deadline = self.deadline();
        self.alarm.set(cx, deadline);
        Progress::Wait
    }

    /// Turns into the WebSocket connection, which is no active exchange. `None` if the request asked for none.
    pub(super) fn into_websocket(mut self) -> Option<OpenWebSocket<S>> {
        let opening = self.ends.opening.take()?;
        self.meter.finish(&mut Moment::default());
        self.ends.exchange.finish(Over::Answered);
        Some(OpenWebSocket::new(
            self.io,
            opening,
            &self.shared,
            self.alarm,
        ))
    }

    fn cut(&mut self, reason: ResetReason) -> Progress {
        self.outgoing.cut(&mut self.io, reason);
        Progress::Over
    }

    /// Calls the application when it is time. False if it was not yet.
    ///
    /// # Errors
    /// The limit for which the request is to be turned away.
    fn begin(&mut self, cx: &mut Context<'_>) -> Result<bool, Limit> {
        let Phase::Held(held) = &mut self.phase else {
            return Ok(true);
        };
        let service = &self.shared.service;
        let is_whole = self.incoming.as_ref().is_none_or(Incoming::is_complete);
        // More than that is not small, and the application reads the rest as it comes.
        let is_small =
            held.wish == BodyWish::Whole || self.ends.exchange.body_held() <= SPOOL_THRESHOLD;
        if held.awaits_body && !is_whole && is_small {
            return Ok(false);
        }
        if !service.app.may_start() {
            cx.waker().wake_by_ref();
            return Ok(false);
        }
        self.ends.exchange.set_queued();
        let (line, queue) = (&service.line, &service.queue);
        let permit = match line.poll(cx, &mut held.wait, queue, &self.shared.handle) {
            Poll::Ready(Ok(permit)) => permit,
            _ if service.app.skips_queue(&self.ends.exchange.origin().head) => queue.extra(),
            Poll::Ready(Err(limit)) => return Err(limit),
            Poll::Pending => {
                self.meter.note_wait();
                return Ok(false);
            }
        };
        self.phase = Phase::Called;
        service.begin_call(&self.ends.exchange, permit, &self.meter);
        let request = Request {
            exchange: Arc::clone(&self.ends.exchange),
            websocket: self.ends.opening.clone(),
            accepts_push: self.io.accepts_push(),
        };
        self.source = service.app.call(request);
        Ok(true)
    }

    /// Moves replies on as far as the peer takes them.
    fn respond(&mut self, cx: &mut Context<'_>) -> Step {
        if self.shared.poll_unclogged(cx).is_pending() {
            // The connection's own deadline watches over that.
            self.blocked_since = None;
            self.ends.exchange.set_stuck();
            self.pause_source();
            return Step::Wait;
        }
        let moment = &mut Moment::default();
        if self.is_answered() {
            return self.finish(Over::Answered, moment);
        }
        if self.replies.is_empty() {
            self.take_replies(cx);
        }
        if self.replies.is_empty() {
            self.blocked_since = None;
            return self.pull(cx);
        }
        while let Some(reply) = self.replies.pop_front() {
            let before = left_of(&reply);
            if let Reply::Push(promise) = &reply {
                if self.outgoing.push(cx, &mut self.io, promise) {
                    cx.waker().wake_by_ref();
                    self.report_unsent();
                    return Step::Wait;
                }
                continue;
            }
            self.meter.send(&reply, moment);
            let next = self.replies.front();
            match self.outgoing.send(cx, &mut self.io, reply, next) {
                Sent::All if self.is_answered() => {
                    return self.finish(Over::Answered, moment);
                }
                Sent::All => self.blocked_since = None,
                Sent::Last => return self.finish(Over::Answered, moment),
                Sent::Refused(status) => {
                    self.ends.exchange.explain(Reason::Other(UNSENDABLE));
                    return self.finish(Over::Refused(status), moment);
                }
                Sent::Blocked(rest) => return self.block(rest, before),
                Sent::Crowded(rest) => {
                    // The connection's own deadline watches over that.
                    self.blocked_since = None;
                    return self.put_back(rest);
                }
                Sent::Opened => return Step::Opened,
                Sent::Cut => return Step::Over,
            }
        }
        self.report_unsent();
        Step::Again
    }

    /// The peer's window is shut for the `rest` of a reply that had so many bytes `before`.
    fn block(&mut self, rest: Reply, before: u64) -> Step {
        if self.blocked_since.is_none() || left_of(&rest) < before {
            self.blocked_since = Some(self.shared.now());
        }
        self.put_back(rest)
    }

    /// The rest of a reply waits for the peer.
    fn put_back(&mut self, rest: Reply) -> Step {
        self.meter.take_back(&rest);
        self.replies.push_front(rest);
        self.report_unsent();
        if self.blocked_since.is_none() {
            self.ends.exchange.set_stuck();
        }
        self.pause_source();
        Step::Wait
    }

    fn take_replies(&mut self, cx: &mut Context<'_>) {
        let now = self.shared.now();
        let head_too = self.head_deadline.is_some_and(|deadline| deadline <= now);
        if self
            .ends
            .exchange
            .poll_replies(cx, &mut self.replies, head_too)
        {
            self.head_deadline.get_or_insert(now + HEAD_HOLD);
        } else {
            self.head_deadline = None;
        }
        // > The server SHOULD send PUSH_PROMISE (Section 6.6) frames prior to sending any frames
        // > that reference the promised responses.
        // > — RFC 9113, 8.4.1 <https://www.rfc-editor.org/rfc/rfc9113#section-8.4.1>
        if self.io.accepts_push() {
            let is_last = |reply: &Reply| !matches!(reply, Reply::Push(_));
            self.replies.make_contiguous().sort_by_key(is_last);
        }
    }

    /// Asks the source for more, after what it gave before was written.
    fn pull(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(mut source) = self.source.take() else {
            return Step::Wait;
        };
        if !source.is_ready() {
            self.source = Some(source);
            return Step::Wait;
        }
        if self.shared.has_pulled.get() || !self.shared.service.app.may_start() {
            cx.waker().wake_by_ref();
            self.source = Some(source);
            return Step::Wait;
        }
        self.shared.has_pulled.set(true);
        self.ends.exchange.set_pull_awaited(false);
        if source.pull() {
            self.source = Some(source);
        }
        Step::Again
    }

    /// Notes that the source, if there is one, waits for the peer until it is pulled from.
    fn pause_source(&self) {
        if self.source.is_some() {
            self.ends.exchange.set_pull_awaited(true);
        }
    }

    fn report_unsent(&self) {
        self.ends
            .exchange
            .set_unsent(self.replies.iter().map(Reply::weight).sum());
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(opening) = &self.opening {
            opening.messages.lose();
        }
        // Answered exchanges are finished already; this one is cut off.
        self.exchange.finish(Over::Disconnected);
    }
}

/// The reason of the server's answer in the place of the application's.
const UNSENDABLE: &str = "response head cannot be sent";
