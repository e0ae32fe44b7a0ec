//! Input, from the stream to the engine: the times of reads, and the step of a connection that
//! serves.

use std::task::{Context, Poll};

use granian_proto::h2::PREFACE;

use super::{Connection, Phase};
use crate::bounds::READ_SIZE;
use crate::close::CloseCause;
use crate::stream::socket::Stream;
use crate::stream::wire::Step;

impl<S: Stream> Connection<S> {
    /// Tells HTTP/1 from HTTP/2 by the first bytes (RFC 9113, 3.4).
    pub(super) fn step_sniffing(&mut self, cx: &mut Context<'_>) -> Step {
        let len = self.wire.input.len().min(PREFACE.len());
        if self.wire.input[..len] != PREFACE[..len] {
            self.phase = Phase::Serving;
            return self.step_serving(cx);
        }
        if len == PREFACE.len() {
            self.phase = Phase::Http2(None);
            return Step::Wait;
        }
        if self.ended || self.engine.is_closing() {
            self.flush(self.closing_cause());
            return Step::Again;
        }
        self.read(cx)
    }

    pub(super) fn step_serving(&mut self, cx: &mut Context<'_>) -> Step {
        if self.slot.is_ready() {
            return self.start_held(cx);
        }
        let current = self.slot.current();
        if current.is_none() && self.engine.is_closing() {
            let cause = self.closing_cause();
            self.flush(cause);
            return self.step_flushing(cx, false, cause);
        }
        if self.pull() {
            return Step::Again;
        }
        let current = self.slot.current();
        let has_room =
            current.is_none_or(|current| current.body_complete || current.exchange.has_body_room());
        if has_room
            && !self.is_behind()
            && let Some(event) = self
                .engine
                .poll_event(self.handle.now(), &mut self.wire.input)
        {
            self.handle_event(cx, event);
            return Step::Again;
        }
        if self.ended && self.slot.current().is_none() {
            self.flush(CloseCause::PeerClosed);
            return Step::Again;
        }
        if has_room && !self.ended && self.may_read() {
            return self.read(cx);
        }
        if self.wire.io.is_hung_up() {
            self.tell_end();
        }
        self.wait_or_close()
    }

    /// Waits, or ends a broken connection. Nothing is read here, so only the poller can tell; unread
    /// input is dropped with the connection.
    pub(super) fn wait_or_close(&mut self) -> Step {
        if self.wire.io.is_broken() {
            self.end_now(CloseCause::PeerLost);
            return Step::Again;
        }
        Step::Wait
    }

    /// True while a response is on its way to a slow reader: the time for the next request begins
    /// after it.
    fn is_behind(&self) -> bool {
        self.slot.is_empty() && self.wire.input.is_empty() && !self.wire.output.is_empty()
    }

    /// The peer has ended its side.
    pub(super) fn tell_end(&self) {
        if let Some(current) = self.slot.current() {
            current.leave();
        }
    }

    /// True if more may be read. Behind an awaited response only `PREFETCH` bytes of pipelined
    /// requests are.
    fn may_read(&self) -> bool {
        let awaits_response = self
            .slot
            .current()
            .is_some_and(|current| current.body_complete);
        !awaits_response || self.wire.input.len() < PREFETCH
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step {
        match self.wire.poll_read(cx, &self.service.buffers) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                if let Some(event) = self.engine.handle_eof(&self.wire.input) {
                    self.handle_event(cx, event);
                }
                self.tell_end();
                Step::Again
            }
            Poll::Ready(Ok(_)) => Step::Again,
            Poll::Ready(Err(_)) => {
                self.end_now(CloseCause::PeerLost);
                Step::Wait
            }
        }
    }
}

/// Bytes read ahead of a response that is awaited.
const PREFETCH: usize = READ_SIZE;
