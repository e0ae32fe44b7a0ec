//! How a WebSocket connection comes to its end: closed by either side, failed, flushed and lingered on.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use granian_proto::ws::{Event, code};

use super::{Connection, Phase};
use crate::bounds::LINGER;
use crate::close::CloseCause;
use crate::exchange::messages::{Ended, EndedBy};
use crate::stream::socket::Stream;
use crate::stream::wire::Step;

impl<S: Stream> Connection<S> {
    /// Ends the connection, unless the application is about to answer what came before.
    pub(super) fn end(&mut self, now: Instant, (event, until): (Event, Instant)) -> Step {
        if now < until && self.messages.poll_settled().is_pending() {
            self.ending = Some(Box::new((event, until)));
            return Step::Wait;
        }
        match event {
            Event::Close(reason) => {
                let text = std::str::from_utf8(&reason.text).unwrap_or_default();
                self.engine
                    .send_close(now, reason.code, text, self.wire.output.tail());
                self.messages.finish(Ended {
                    code: reason.code.unwrap_or(code::NO_CODE),
                    reason: reason.text,
                    by: EndedBy::Peer,
                });
            }
            Event::Failed { code, why } => self.fail(code, why, CloseCause::ProtocolError),
            _ => {}
        }
        Step::Again
    }

    /// Starts the closing handshake on the server's own account.
    pub(super) fn begin_close(&mut self, code: u16, reason: &'static str, cause: CloseCause) {
        self.phase = Phase::Closing(self.first_cause(cause));
        let now = self.handle.now();
        self.engine
            .send_close(now, Some(code), reason, self.wire.output.tail());
        self.messages.finish(Ended {
            code,
            reason: Bytes::from_static(reason.as_bytes()),
            by: EndedBy::Server,
        });
    }

    /// Says why, and closes: the peer is gone or broke the protocol.
    pub(super) fn fail(&mut self, code: u16, why: &'static str, cause: CloseCause) {
        let now = self.handle.now();
        self.engine
            .send_close(now, Some(code), why, self.wire.output.tail());
        self.messages.finish(Ended {
            code: code::ABNORMAL,
            reason: Bytes::from_static(why.as_bytes()),
            by: EndedBy::Loss,
        });
        self.flush(cause);
    }

    pub(super) fn flush(&mut self, cause: CloseCause) {
        self.wire.input = BytesMut::new();
        self.phase = Phase::Flushing {
            until: self.handle.now() + self.close_timeout(),
            cause: self.first_cause(cause),
        };
    }

    /// Ends at once, whatever is under way.
    pub(super) fn end_now(&mut self, cause: CloseCause) {
        self.phase = Phase::Closed(self.first_cause(cause));
    }

    /// The cause of an end that has begun already; otherwise `cause`.
    fn first_cause(&self, cause: CloseCause) -> CloseCause {
        match self.phase {
            Phase::Open => cause,
            Phase::Closing(cause)
            | Phase::Flushing { cause, .. }
            | Phase::Lingering { cause, .. }
            | Phase::Closed(cause) => cause,
        }
    }

    fn close_timeout(&self) -> Duration {
        self.service.limits.websocket.close_timeout
    }

    pub(super) fn step_flushing(&mut self, cx: &mut Context<'_>, cause: CloseCause) -> Step {
        if !self.wire.output.is_empty() {
            return Step::Wait;
        }
        // > [...] the server MUST close the TCP connection first, as it holds the TIME_WAIT state
        // > — after RFC 6455, 7.1.1
        let now = self.handle.now();
        if self.wire.poll_end(cx, now).is_pending() {
            return Step::Wait;
        }
        let until = now + LINGER;
        self.phase = Phase::Lingering { until, cause };
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
