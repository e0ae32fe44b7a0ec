//! How an exchange ends: answered, given up for want of room, its rest thrown away.

use std::task::Context;
use std::time::Instant;

use granian_proto::PeerError;

use super::deadlines::Expired;
use super::{Answering, Phase, Progress, Step};
use crate::close::Limit;
use crate::exchange::record::Reason;
use crate::exchange::{Over, Unspooled};
use crate::metrics::Moment;
use crate::transfer::after_response;
use crate::transfer::incoming::{Broken, Incoming};
use crate::transfer::stream_io::ResetReason;
use crate::transfer::{Shared, StreamIo};

impl<S: StreamIo> Answering<S> {
    /// Ends the exchange, whose request cannot be taken in.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, broken: Broken) -> Progress {
        match broken {
            Broken::Stream => self.cut(ResetReason::Internal),
            Broken::TooLarge => self.refuse(cx, PeerError::BodyTooLarge),
            Broken::Unspooled(Unspooled::TooLarge) => self.refuse(cx, PeerError::SpoolTooLarge),
            Broken::Unspooled(Unspooled::Crowded) => self.refuse(cx, PeerError::SpoolsTooLarge),
            Broken::Unspooled(Unspooled::Storage(error)) => {
                let now = self.shared.now();
                self.shared.service.complain_of_spool(now, &error);
                self.refuse(cx, PeerError::NoStorage)
            }
        }
    }

    /// Ends the exchange for an error of the peer's, which is told unless the response has begun.
    fn refuse(&mut self, cx: &mut Context<'_>, error: PeerError) -> Progress {
        let Shared { service, peer, .. } = &*self.shared;
        if let Some(limit) = Limit::of_error(error, true) {
            service.note_limit(peer, limit);
        }
        self.answer_instead(cx, error, Over::Refused(error.status()))
            .unwrap_or_else(|| self.cut(ResetReason::Cancelled))
    }

    /// Ends the exchange, whose time is up.
    pub(super) fn end_expired(&mut self, cx: &mut Context<'_>, expired: Expired) -> Progress {
        match expired {
            Expired::Body(error) => self.refuse(cx, error),
            Expired::Request => self.end_overdue(cx),
            Expired::Patience => self.turn_away(cx, Limit::BlockingThreads),
            Expired::Write => {
                let Shared { service, peer, .. } = &*self.shared;
                service.note_limit(peer, Limit::WriteTimeout);
                self.cut(ResetReason::Cancelled)
            }
        }
    }

    /// Ends the exchange, whose response is not complete in time: the peer gets 504 in its place, or the stream is cut.
    fn end_overdue(&mut self, cx: &mut Context<'_>) -> Progress {
        let Shared { service, peer, .. } = &*self.shared;
        service.note_limit(peer, Limit::RequestTimeout);
        let error = PeerError::Overdue;
        let over = Over::Overdue(Some(error.status()));
        if let Some(progress) = self.answer_instead(cx, error, over) {
            return progress;
        }
        self.ends.exchange.finish(Over::Overdue(None));
        self.cut(ResetReason::Cancelled)
    }

    /// Answers a request that may not wait any longer, for a permit or for its client. A response that has begun is cut.
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>, limit: Limit) -> Progress {
        let Shared { service, peer, .. } = &*self.shared;
        service.note_limit(peer, limit);
        let error = PeerError::Overloaded;
        self.answer_instead(cx, error, Over::Refused(error.status()))
            .unwrap_or_else(|| self.cut(ResetReason::Cancelled))
    }

    /// Answers with a status in place of the application. `None` if a response has begun.
    fn answer_instead(
        &mut self,
        cx: &mut Context<'_>,
        error: PeerError,
        over: Over,
    ) -> Option<Progress> {
        let status = error.status();
        self.outgoing.refuse(&mut self.io, status).ok()?;
        if let Phase::Held(_) = &self.phase {
            let Shared { service, peer, .. } = &*self.shared;
            let head = &self.ends.exchange.origin().head;
            service.note_refusal(peer, Some(head), head.version(), (status, error));
            self.meter.forget();
        } else {
            self.ends.exchange.explain(Reason::Peer(error));
        }
        self.meter.refuse(status);
        self.ends.exchange.finish(over);
        let until = self.shared.now() + after_response::DISCARD_TIME;
        self.phase = Phase::Discarding { until };
        Some(self.poll_discard(cx, until))
    }

    /// True if nothing can follow the response's head, and the request is whole: an application's
    /// stream may never end.
    pub(super) fn is_answered(&self) -> bool {
        self.outgoing.is_bodiless() && self.incoming.as_ref().is_none_or(Incoming::is_complete)
    }

    /// Ends the exchange, whose response is complete.
    pub(super) fn finish(&mut self, over: Over, moment: &mut Moment) -> Step {
        match over {
            Over::Refused(status) => self.meter.refuse(status),
            Over::Answered | Over::Disconnected | Over::Overdue(_) => self.meter.finish(moment),
        }
        self.ends.exchange.finish(over);
        let handled = &self.shared.service.handled;
        handled.set(handled.get() + 1);
        self.discard()
    }

    /// Ends the sending side. The rest of the request is thrown away, if there is one.
    pub(super) fn discard(&mut self) -> Step {
        if self.incoming.as_ref().is_none_or(Incoming::is_complete) {
            return Step::Over;
        }
        let until = self.shared.now() + after_response::DISCARD_TIME;
        self.phase = Phase::Discarding { until };
        Step::Wait
    }

    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>, until: Instant) -> Progress {
        let Some(incoming) = &mut self.incoming else {
            return Progress::Over;
        };
        let limit = after_response::DISCARD_LIMIT;
        let is_late = until <= self.shared.now();
        if is_late || incoming.poll_discard(cx, &mut self.io, limit).is_ready() {
            return Progress::Over;
        }
        self.alarm.set(cx, Some(until));
        Progress::Wait
    }
}
