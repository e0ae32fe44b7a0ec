//! How an exchange ends: answered, given up for want of room, its rest thrown away.

use std::task::Context;
use std::time::Instant;

use granian_proto::PeerError;

use super::{Answering, Phase, Progress, Step};
use crate::exchange::{Over, Unspooled};
use crate::transfer::StreamIo;
use crate::transfer::after_response;
use crate::transfer::incoming::{Broken, Incoming};
use crate::transfer::stream_io::ResetReason;

impl<S: StreamIo> Answering<S> {
    /// Ends the exchange, whose request cannot be taken in. One that found no room is told so.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, broken: Broken) -> Progress {
        let (now, service) = (self.shared.now(), &self.shared.service);
        let refusal = match broken {
            Broken::Stream => return self.cut(ResetReason::Internal),
            Broken::Unspooled(Unspooled::TooLarge) => PeerError::BodyTooLarge.status(),
            Broken::Unspooled(Unspooled::Storage(error)) => {
                service.complain_of_spool(now, &error);
                PeerError::NoStorage.status()
            }
        };
        if let Phase::Held(held) = &self.phase {
            let (peer, version) = (&self.shared.peer, held.head.version());
            service.note_refusal(peer, Some(&held.head), version, refusal);
            self.meter.forget();
        }
        if self.outgoing.refuse(&mut self.io, refusal).is_err() {
            return self.cut(ResetReason::Internal);
        }
        self.meter.refuse(refusal);
        self.ends.exchange.finish(Over::Refused(refusal));
        let until = now + after_response::DISCARD_TIME;
        self.phase = Phase::Discarding { until };
        self.poll_discard(cx, until)
    }

    /// True if nothing can follow the response's head, and the request is whole: an application's
    /// stream may never end.
    pub(super) fn is_answered(&self) -> bool {
        self.outgoing.is_bodiless() && self.incoming.as_ref().is_none_or(Incoming::is_complete)
    }

    /// Ends the exchange, whose response is complete.
    pub(super) fn finish(&mut self, over: Over) -> Step {
        match over {
            Over::Refused(status) => self.meter.refuse(status),
            Over::Answered | Over::Disconnected => self.meter.finish(),
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
