//! How a connection comes to its end: refused, aborted, closed while idle, flushed and lingered on.

use std::task::{Context, Poll};
use std::time::Instant;

use granian_proto::{Event, PeerError};

use super::slot::Slot;
use super::{Connection, Phase};
use crate::bounds::LINGER;
use crate::exchange::Over;
use crate::stream::socket::Stream;
use crate::stream::wire::Step;

impl<S: Stream> Connection<S> {
    /// A worker that drains has no use for a connection without a request, but waits a moment for
    /// one that is on its way: its peer could not know.
    pub(super) fn close_if_drained(&mut self, cx: &mut Context<'_>) {
        if self
            .drain_deadline()
            .is_some_and(|until| until <= self.handle.now())
        {
            self.close(cx);
        }
    }

    /// Closes a connection on which nothing is due. With TLS the peer is told (RFC 8446, 6.1).
    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        self.phase = if self.wire.poll_end(cx, self.handle.now()).is_ready() {
            Phase::Closed
        } else {
            // The next step sees to how long that may take.
            cx.waker().wake_by_ref();
            Phase::Flushing { cut: false }
        };
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

    /// Cuts the connection behind what is queued: the peer must not take it for a whole response.
    pub(super) fn abort(&mut self) {
        let cut = self.cut_if_close_delimited();
        self.slot.finish(Over::Disconnected);
        self.phase = Phase::Flushing { cut };
    }

    /// A response whose end is that of the connection ends by a reset. True if it does.
    fn cut_if_close_delimited(&mut self) -> bool {
        let cut = self.engine.is_close_delimited();
        if cut {
            self.wire.io.reset_on_close();
        }
        cut
    }

    /// A peer that speaks HTTP/1 learns that it may not; one that speaks nothing, nothing.
    pub(super) fn refuse_http1(&mut self, event: &Event) {
        match event {
            Event::Request(_) => self.refuse(PeerError::Version),
            _ => self.phase = Phase::Flushing { cut: false },
        }
    }

    pub(super) fn refuse(&mut self, error: PeerError) {
        if self.slot.current().is_none() {
            self.service.app.journal().refused(&self.peer, error);
        }
        let date = self.service.date(self.handle.now());
        let is_told = self
            .engine
            .send_refusal(error, &date, self.wire.output.tail());
        let cut = self.cut_if_close_delimited();
        self.slot.finish(match is_told {
            true => Over::Refused(error.status()),
            false => Over::Disconnected,
        });
        self.phase = Phase::Flushing { cut };
    }

    pub(super) fn step_flushing(&mut self, cx: &mut Context<'_>, cut: bool) -> Step {
        if !self.wire.output.is_empty() {
            return Step::Wait;
        }
        if cut {
            self.phase = Phase::Closed;
            return Step::Again;
        }
        // Of a peer that has ended its side nothing more comes, nor should anything where it has sent
        // all that it may; one look tells.
        let is_over = self.ended || (self.engine.is_satisfied() && self.wire.input.is_empty());
        let closes = self.ended || (is_over && !self.wire.io.has_input());
        let now = self.handle.now();
        if self.wire.poll_end(cx, now).is_pending() {
            return Step::Wait;
        }
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
        let lingered = self.wire.poll_linger(cx, now, until, &self.service.buffers);
        match lingered {
            Poll::Pending => Step::Wait,
            Poll::Ready(until) => {
                self.phase = until.map_or(Phase::Closed, Phase::Lingering);
                Step::Again
            }
        }
    }
}
