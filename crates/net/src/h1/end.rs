//! How a connection comes to its end: refused, aborted, closed while idle, flushed and lingered on.

use std::task::{Context, Poll};
use std::time::Instant;

use granian_proto::{
    Content, Event, HeadError, PeerError, RequestHead, ResponseHead, Version, retry_after,
};

use super::slot::{Held, Slot};
use super::{Connection, Phase};
use crate::bounds::LINGER;
use crate::close::{CloseCause, Limit};
use crate::exchange::Over;
use crate::exchange::record::Reason;
use crate::service::Stage;
use crate::stream::socket::Stream;
use crate::stream::wire::Step;

impl<S: Stream> Connection<S> {
    /// Closes a connection without a request on a draining worker, after a moment: a request may be
    /// on its way, since the peer cannot know of the drain.
    pub(super) fn close_if_drained(&mut self, cx: &mut Context<'_>) {
        if self
            .drain_deadline()
            .is_some_and(|until| until <= self.handle.now())
        {
            self.close(cx, CloseCause::Drained);
        }
    }

    /// Closes a connection on which nothing is under way, if others need its place.
    pub(super) fn close_if_crowded(&mut self, cx: &mut Context<'_>) {
        let crowd = &self.service.crowd;
        if !crowd.is_bounded() {
            return;
        }
        let key = self.handle.key();
        let is_idle = self.is_idle() && self.engine.is_idle() && self.wire.input.is_empty();
        if !is_idle {
            crowd.note_busy(key);
        } else if crowd.note_idle(key, self.requests, self.handle.now()) {
            self.service.note_limit(&self.peer, Limit::MaxConnections);
            self.close(cx, CloseCause::CrowdedOut);
        }
    }

    /// Ends at once; a response under way is cut.
    pub(super) fn end_now(&mut self, cause: CloseCause) {
        self.phase = Phase::Closed(self.first_cause(cause));
    }

    /// Ends once the queued bytes have left.
    pub(super) fn flush(&mut self, cause: CloseCause) {
        let cause = self.first_cause(cause);
        self.phase = Phase::Flushing { cut: false, cause };
    }

    /// Closes a connection on which nothing is due. With TLS the peer is told (RFC 8446, 6.1).
    pub(super) fn close(&mut self, cx: &mut Context<'_>, cause: CloseCause) {
        if self.wire.poll_end(cx, self.handle.now()).is_ready() {
            self.end_now(cause);
        } else {
            // `step_flushing` bounds the time that this may take.
            cx.waker().wake_by_ref();
            self.flush(cause);
        }
    }

    /// The cause that began the end; a later one does not replace it.
    fn first_cause(&self, cause: CloseCause) -> CloseCause {
        match self.phase {
            Phase::Flushing { cause, .. }
            | Phase::Lingering { cause, .. }
            | Phase::Closed(cause) => cause,
            _ => cause,
        }
    }

    /// The cause of an end after the last response.
    pub(super) fn closing_cause(&self) -> CloseCause {
        if self.ended {
            CloseCause::PeerClosed
        } else if self.service.stage.get() == Stage::Serving {
            CloseCause::Answered
        } else {
            CloseCause::Drained
        }
    }

    pub(super) fn drain_deadline(&self) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        let is_due = !self.engine.is_idle()
            || matches!(self.slot, Slot::Fresh)
            || !self.wire.input.is_empty();
        self.service.drain_grace(is_due)
    }

    /// Cuts the connection once the queued bytes have left, so that the peer cannot take the
    /// response for whole.
    pub(super) fn abort(&mut self) {
        let cut = self.cut_if_close_delimited();
        // An application that learns of a peer's end often ends its response without completing it.
        let cause = match self.ended || self.wire.io.is_hung_up() {
            true => CloseCause::PeerClosed,
            false => CloseCause::Aborted,
        };
        self.slot.finish(Over::Disconnected);
        self.phase = Phase::Flushing { cut, cause };
    }

    /// A response whose end is that of the connection ends by a reset. True if it does.
    fn cut_if_close_delimited(&mut self) -> bool {
        let cut = self.engine.is_close_delimited();
        if cut {
            self.wire.io.reset_on_close();
        }
        cut
    }

    /// Refuses HTTP/1 where only HTTP/2 is served. A request gets 505; anything else is closed
    /// without an answer.
    pub(super) fn refuse_http1(&mut self, event: &Event) {
        match event {
            Event::Request(request) => self.refuse_request(&request.head, PeerError::Version),
            Event::Refused(error) => self.flush(CloseCause::Refused(*error)),
            Event::Data(_) | Event::End(_) => self.flush(CloseCause::Refused(PeerError::Version)),
        }
    }

    pub(super) fn refuse(&mut self, error: PeerError) {
        let is_told = self.send_refusal(error);
        match &self.slot {
            // The application's call ends with this status.
            Slot::Running(current) => current.exchange.explain(Reason::Peer(error)),
            Slot::Held(held) if is_told => {
                self.note_refusal(Some(&held.exchange.origin().head), error)
            }
            Slot::Fresh | Slot::Idle if is_told => self.note_refusal(None, error),
            Slot::Held(_) | Slot::Fresh | Slot::Idle => {}
        }
        self.end_refused(is_told, error);
    }

    /// Refuses a request that was not held, for what its head asks.
    pub(super) fn refuse_request(&mut self, head: &RequestHead, error: PeerError) {
        let is_told = self.send_refusal(error);
        if is_told {
            self.note_refusal(Some(head), error);
        }
        self.end_refused(is_told, error);
    }

    /// False if the response that is under way leaves no place for a word.
    fn send_refusal(&mut self, error: PeerError) -> bool {
        let date = self.service.date(self.handle.now());
        self.engine
            .send_refusal(error, &date, self.wire.output.tail())
    }

    fn note_refusal(&self, head: Option<&RequestHead>, error: PeerError) {
        let answer = (error.status(), error);
        self.service
            .note_refusal(&self.peer, head, Version::Http11, answer);
    }

    fn end_refused(&mut self, is_told: bool, error: PeerError) {
        if let Some(limit) = Limit::of_error(error, !self.slot.is_empty()) {
            self.service.note_limit(&self.peer, limit);
        }
        let cut = self.cut_if_close_delimited();
        let cause = match error {
            PeerError::TimedOut if self.slot.is_empty() => CloseCause::HeadTimeout,
            PeerError::TimedOut | PeerError::TooSlow => CloseCause::BodyTimeout,
            PeerError::NoStorage => CloseCause::SpoolFailed,
            error => CloseCause::Refused(error),
        };
        if is_told {
            self.end_meter(error.status());
        }
        self.slot.finish(match is_told {
            true => Over::Refused(error.status()),
            false => Over::Disconnected,
        });
        self.phase = Phase::Flushing { cut, cause };
    }

    /// The request in the slot was answered with this status, and not by the application.
    fn end_meter(&mut self, status: u16) {
        let is_held = matches!(self.slot, Slot::Held(_));
        if let Some(meter) = self.slot.meter() {
            match is_held {
                // The refusal was counted.
                true => meter.forget(),
                false => meter.refuse(status),
            }
        }
    }

    /// True if the response is not complete in time, and something follows from it: the peer gets 504 in its place,
    /// or the connection is cut.
    pub(super) fn handle_overdue(&mut self) -> bool {
        let now = self.handle.now();
        if !self.is_open() || self.slot.overdue_at().is_none_or(|at| at > now) {
            return false;
        }
        self.service.note_limit(&self.peer, Limit::RequestTimeout);
        let error = PeerError::Overdue;
        if self.answer_instead(error, Over::Overdue(Some(error.status()))) {
            return true;
        }
        let cut = self.cut_if_close_delimited();
        self.slot.finish(Over::Overdue(None));
        let cause = CloseCause::RequestTimeout;
        self.phase = Phase::Flushing { cut, cause };
        true
    }

    /// True if a thread of the application is not to wait any longer for the client, which gets 503 or is cut off.
    pub(super) fn handle_eviction(&mut self) -> bool {
        let current = self.slot.current();
        if !self.is_open() || !current.is_some_and(|current| current.exchange.is_evicted()) {
            return false;
        }
        self.service.note_limit(&self.peer, Limit::BlockingThreads);
        let error = PeerError::Overloaded;
        if !self.answer_instead(error, Over::Refused(error.status())) {
            self.slot.finish(Over::Disconnected);
            // What is queued would wait on for a client that takes nothing.
            self.wire.io.reset_on_close();
            self.end_now(CloseCause::CrowdedOut);
        }
        true
    }

    /// Answers a request that gets no permit in time: 503, and the connection goes on.
    pub(super) fn turn_away(&mut self, held: Box<Held>, limit: Limit) {
        self.slot = Slot::Held(held);
        self.service.note_limit(&self.peer, limit);
        let error = PeerError::Overloaded;
        if !self.answer_instead(error, Over::Refused(error.status())) {
            self.abort();
        }
    }

    /// Answers the current request with a status in place of the application, and goes on with the next one. False
    /// if a response has begun.
    pub(super) fn answer_instead(&mut self, error: PeerError, over: Over) -> bool {
        let status = error.status();
        let Ok(head) = refusal(status) else {
            return false;
        };
        let date = self.service.date(self.handle.now());
        let output = self.wire.output.tail();
        let sent = self
            .engine
            .send_head(&head, Content::Length(0), &date, output);
        if sent.is_err() {
            return false;
        }
        // Nothing is left out of a body without bytes.
        let _ = self.engine.send_end(None, self.wire.output.tail());
        match &self.slot {
            Slot::Held(held) => self.note_refusal(Some(&held.exchange.origin().head), error),
            Slot::Running(current) => current.exchange.explain(Reason::Peer(error)),
            Slot::Fresh | Slot::Idle => {}
        }
        self.end_meter(status);
        self.slot.finish(over);
        true
    }

    pub(super) fn step_flushing(
        &mut self,
        cx: &mut Context<'_>,
        cut: bool,
        cause: CloseCause,
    ) -> Step {
        if !self.wire.output.is_empty() {
            return Step::Wait;
        }
        if cut {
            self.end_now(cause);
            return Step::Again;
        }
        // The peer will send nothing more: it has closed its side, or said `close` and was read
        // whole. If the socket agrees, to close now cannot reset the response.
        let is_over = self.ended || (self.engine.is_satisfied() && self.wire.input.is_empty());
        let closes = self.ended || (is_over && !self.wire.io.has_input());
        let now = self.handle.now();
        if self.wire.poll_end(cx, now).is_pending() {
            return Step::Wait;
        }
        self.phase = if closes {
            Phase::Closed(cause)
        } else if is_over {
            Phase::Lingering { until: now, cause }
        } else {
            let until = now + LINGER;
            Phase::Lingering { until, cause }
        };
        Step::Again
    }

    pub(super) fn step_lingering(
        &mut self,
        cx: &mut Context<'_>,
        until: Instant,
        cause: CloseCause,
    ) -> Step {
        let now = self.handle.now();
        let lingered = self.wire.poll_linger(cx, now, until, &self.service.buffers);
        match lingered {
            Poll::Pending => Step::Wait,
            Poll::Ready(until) => {
                self.phase = match until {
                    Some(until) => Phase::Lingering { until, cause },
                    None => Phase::Closed(cause),
                };
                Step::Again
            }
        }
    }
}

/// The head of an answer in place of the application's.
fn refusal(status: u16) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::new(status)?;
    if let Some(seconds) = retry_after(status) {
        head.append(b"retry-after", seconds.as_bytes())?;
    }
    Ok(head)
}
