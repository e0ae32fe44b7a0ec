//! `Transfer`: one exchange on its stream, from the request's head to the response's last frame.
//! A future of its own among those of its connection, woken by what concerns its stream only.

mod aftermath;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use granian_proto::RequestHead;
use granian_proto::h2::Promise;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use super::head;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Sent};
use super::push::{Place, Promised};
use super::respond::Respond;
use super::shared::{Alarm, Shared};
use super::tunnel::Tunnel;
use crate::bounds::HEAD_HOLD;
use crate::exchange::app::{BodyWish, Request, Source};
use crate::exchange::messages::Opening;
use crate::exchange::reply::Reply;
use crate::exchange::{Exchange, Over};
use crate::service::{Permit, Stage, Ticket};
use crate::ws;

/// See the module's documentation.
pub(super) struct Transfer {
    shared: Rc<Shared>,
    exchange: Arc<Exchange>,
    phase: Phase,
    /// What the request opens, until it does.
    opening: Option<Opening>,
    /// Whom the request is for, where further ones may be made with it.
    authority: Option<Box<str>>,
    /// The request was promised to the client.
    place: Option<Place>,
    incoming: Option<Incoming>,
    outgoing: Outgoing,
    replies: VecDeque<Reply>,
    source: Option<Box<dyn Source>>,
    /// A head waits for what follows it until then.
    head_deadline: Option<Instant>,
    /// Since when the peer has taken nothing of what waits for it.
    blocked_since: Option<Instant>,
    alarm: Alarm,
}

enum Phase {
    /// The request waits for what the application wants of its body, for its turn, or for a place among the active
    /// ones.
    Held(Held),
    /// The application was called.
    Called(#[expect(dead_code, reason = "it is held")] Permit),
    /// The response is complete and the request is not: the rest is thrown away for a moment
    /// before the stream is reset, which some clients take for a failure.
    Ebbing { until: Instant },
    /// The stream carries a WebSocket connection.
    Opened(Box<ws::Connection<Tunnel>>),
}

struct Held {
    head: RequestHead,
    ticket: Ticket,
    wish: BodyWish,
    /// The application is called when the body is whole.
    awaits_body: bool,
}

enum Step {
    Again,
    Wait,
    Over,
}

impl Transfer {
    pub(super) fn new(
        shared: Rc<Shared>,
        head: RequestHead,
        opening: Option<Opening>,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let incoming = Incoming::new(body, shared.now());
        // What comes for a WebSocket connection stays with the codec until it is open.
        let has_body = !incoming.is_complete() && opening.is_none();
        let authority = (shared.pushes.are_accepted() && opening.is_none())
            .then(|| authority_of(&head))
            .flatten();
        let mut transfer = Self::held(shared, head, Respond::Asked(respond), has_body);
        if has_body {
            transfer.exchange.tell_taking();
            transfer.ask_wish();
        }
        transfer.incoming = (has_body || opening.is_some()).then_some(incoming);
        transfer.opening = opening;
        transfer.authority = authority;
        transfer
    }

    /// One for a request that was promised to the client.
    pub(super) fn pushed(shared: Rc<Shared>, promised: Promised) -> Self {
        let mut transfer = Self::held(shared, promised.head, promised.respond, false);
        transfer.place = Some(promised.place);
        transfer
    }

    fn held(shared: Rc<Shared>, head: RequestHead, respond: Respond, has_body: bool) -> Self {
        Self {
            exchange: Arc::new(Exchange::new(has_body, shared.service.limits.window)),
            outgoing: Outgoing::new(respond, head.method() == "HEAD"),
            phase: Phase::Held(Held {
                head,
                ticket: Ticket::default(),
                wish: BodyWish::Nothing,
                awaits_body: false,
            }),
            incoming: None,
            opening: None,
            authority: None,
            place: None,
            replies: VecDeque::new(),
            source: None,
            head_deadline: None,
            blocked_since: None,
            alarm: Alarm::new(Rc::clone(&shared)),
            shared,
        }
    }

    /// Asks the application how much of the body it wants to start with.
    fn ask_wish(&mut self) {
        let service = &self.shared.service;
        if let Phase::Held(held) = &mut self.phase {
            let length = held.head.field(b"content-length");
            let length = length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
            let expects_continue = held.head.field(b"expect").is_some();
            held.wish = service.app.wants(&held.head);
            held.awaits_body =
                held.wish
                    .is_waiting(length, service.limits.window, expects_continue);
        }
    }

    /// Takes the body in. False if the stream broke.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.opening.is_some() {
            return true;
        }
        let spools = matches!(&self.phase, Phase::Held(held) if held.wish == BodyWish::Whole);
        let now = self.shared.now();
        self.incoming
            .as_mut()
            .is_none_or(|incoming| incoming.forward(cx, &self.exchange, spools, now))
    }

    /// Calls the application when it is time. False if it was not yet.
    fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        let Phase::Held(held) = &mut self.phase else {
            return true;
        };
        let service = &self.shared.service;
        let is_whole = self.incoming.as_ref().is_none_or(Incoming::is_complete);
        if held.awaits_body && !is_whole {
            return false;
        }
        if !service.app.may_start() {
            cx.waker().wake_by_ref();
            return false;
        }
        let Poll::Ready(permit) = service.poll_enter(cx, &mut held.ticket, self.shared.now())
        else {
            return false;
        };
        if let Phase::Held(held) = std::mem::replace(&mut self.phase, Phase::Called(permit)) {
            self.source = service.app.call(Request {
                head: held.head,
                peer: Arc::clone(&self.shared.peer),
                exchange: Arc::clone(&self.exchange),
                websocket: self.opening.clone(),
                accepts_push: self.authority.is_some(),
            });
        }
        true
    }

    /// Moves replies on as far as the peer takes them.
    fn respond(&mut self, cx: &mut Context<'_>) -> Step {
        if self.shared.waits_for_stream(cx) {
            // The connection's own deadline watches over that.
            self.blocked_since = None;
            return Step::Wait;
        }
        if self.replies.is_empty() {
            self.take_replies(cx);
        }
        if self.replies.is_empty() {
            self.blocked_since = None;
            return self.pull(cx);
        }
        let date = self.shared.service.date(self.shared.now());
        while let Some(reply) = self.replies.pop_front() {
            let before = left_of(&reply);
            if let Reply::Push(promise) = &reply {
                if self.promise(cx, promise) {
                    cx.waker().wake_by_ref();
                    return Step::Wait;
                }
                continue;
            }
            if self.place.is_some() && matches!(reply, Reply::Head(_)) {
                self.shared.pushes.leave_first();
            }
            match self.outgoing.send(cx, reply, self.replies.front(), &date) {
                Sent::All => self.blocked_since = None,
                Sent::Last => {
                    self.exchange.finish(Over::Answered);
                    let handled = &self.shared.service.handled;
                    handled.set(handled.get() + 1);
                    return self.ebb();
                }
                Sent::Blocked(rest) => {
                    if self.blocked_since.is_none() || left_of(&rest) < before {
                        self.blocked_since = Some(self.shared.now());
                    }
                    self.replies.push_front(rest);
                    self.report_unsent();
                    return Step::Wait;
                }
                Sent::Opened(stream) => return self.open(stream),
                Sent::Cut => return Step::Over,
            }
        }
        self.report_unsent();
        Step::Again
    }

    /// Makes a further request in the client's place, if that takes it. True if it does: the promise
    /// leaves before anything else.
    fn promise(&mut self, cx: &mut Context<'_>, promise: &Promise) -> bool {
        let shared = &self.shared;
        let is_serving = shared.service.stage.get() == Stage::Serving;
        let (Some(authority), true) = (&self.authority, is_serving) else {
            return false;
        };
        let Some(request) = head::promised(promise, shared.peer.scheme, authority) else {
            return false;
        };
        let (parts, ()) = request.into_parts();
        let (Ok(head), Some(place)) = (head::request(&parts), Place::take(shared)) else {
            return false;
        };
        let request = http::Request::from_parts(parts, ());
        let Some(respond) = self.outgoing.promise(cx, request) else {
            return false;
        };
        self.shared.pushes.add(Promised {
            head,
            respond,
            place,
        });
        true
    }

    fn take_replies(&mut self, cx: &mut Context<'_>) {
        let now = self.shared.now();
        let head_too = self.head_deadline.is_some_and(|deadline| deadline <= now);
        if self.exchange.poll_replies(cx, &mut self.replies, head_too) {
            self.head_deadline.get_or_insert(now + HEAD_HOLD);
        } else {
            self.head_deadline = None;
        }
        // > The server SHOULD send PUSH_PROMISE (Section 6.6) frames prior to sending any frames
        // > that reference the promised responses.
        // > — RFC 9113, 8.4.1 <https://www.rfc-editor.org/rfc/rfc9113#section-8.4.1>
        if self.authority.is_some() {
            let is_last = |reply: &Reply| !matches!(reply, Reply::Push(_));
            self.replies.make_contiguous().sort_by_key(is_last);
        }
    }

    /// Asks the source for more, after what it gave before was written.
    fn pull(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(mut source) = self.source.take() else {
            return Step::Wait;
        };
        if self.shared.has_pulled.get() || !self.shared.service.app.may_start() {
            cx.waker().wake_by_ref();
            self.source = Some(source);
            return Step::Wait;
        }
        self.shared.has_pulled.set(true);
        if source.pull() {
            self.source = Some(source);
        }
        Step::Again
    }

    fn report_unsent(&self) {
        self.exchange
            .set_unsent(self.replies.iter().map(Reply::weight).sum());
    }

    fn deadline(&self) -> Option<Instant> {
        let limits = &self.shared.service.limits;
        let write = self.blocked_since.map(|since| since + limits.write_timeout);
        let head = self.head_deadline.filter(|at| *at > self.shared.now());
        [head, write, self.body_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// By when the peer must send something of the body that is waited for.
    fn body_deadline(&self) -> Option<Instant> {
        let incoming = self.incoming.as_ref()?;
        if self.opening.is_some() {
            return None;
        }
        let is_awaited = matches!(self.phase, Phase::Held(..)) || self.exchange.wants_body();
        let waits = !incoming.is_complete() && is_awaited && self.exchange.body_held() == 0;
        let timeout = self.shared.service.limits.http1.body_timeout?;
        waits.then(|| incoming.last() + timeout)
    }

    fn has_expired(&self) -> bool {
        let now = self.shared.now();
        let limits = &self.shared.service.limits;
        self.body_deadline().is_some_and(|deadline| deadline <= now)
            || self
                .blocked_since
                .is_some_and(|since| since + limits.write_timeout <= now)
    }
}

impl Future for Transfer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.pushes.is_due() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(over) = self.poll_aftermath(cx) {
            return over;
        }
        if !self.receive(cx) {
            self.outgoing.cut(Reason::INTERNAL_ERROR);
            return Poll::Ready(());
        }
        if self.begin(cx) {
            // Bounded by what the application has made: a pull is not repeated in here.
            loop {
                match self.respond(cx) {
                    Step::Again => {}
                    Step::Wait => break,
                    Step::Over => return Poll::Ready(()),
                }
            }
        }
        if let Some(over) = self.poll_aftermath(cx) {
            return over;
        }
        // What the application has taken meanwhile it took without a wake-up for this future.
        let is_behind = |incoming: &Incoming| incoming.is_behind(&self.exchange);
        if self.incoming.as_ref().is_some_and(is_behind) && !self.receive(cx) {
            self.outgoing.cut(Reason::INTERNAL_ERROR);
            return Poll::Ready(());
        }
        if self.outgoing.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.has_expired() {
            self.outgoing.cut(Reason::CANCEL);
            return Poll::Ready(());
        }
        let deadline = self.deadline();
        self.alarm.set(cx, deadline);
        Poll::Pending
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(opening) = &self.opening {
            opening.socket.lose();
        }
        // Answered exchanges are finished already; this one is cut off.
        self.exchange.finish(Over::Disconnected);
    }
}

fn authority_of(head: &RequestHead) -> Option<Box<str>> {
    let host = || std::str::from_utf8(head.field(b"host")?).ok();
    head.authority().or_else(host).map(Into::into)
}

/// Bytes to send.
fn left_of(reply: &Reply) -> u64 {
    match reply {
        Reply::File { file, .. } => file.len,
        reply => reply.weight() as u64,
    }
}
