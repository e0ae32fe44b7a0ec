//! Input, from the stream to the engine: what is read when, and the step of a connection that serves.

use std::task::{Context, Poll};

use granian_proto::h2::PREFACE;

use super::{Connection, Phase, Step};
use crate::bounds::READ_SIZE;
use crate::stream::socket::{Stream, poll_read_buf};

impl<S: Stream> Connection<S> {
    pub(super) fn step_serving(&mut self, cx: &mut Context<'_>) -> Step {
        if self.held.as_ref().is_some_and(|held| held.is_ready) {
            return self.start_held(cx);
        }
        if self.current.is_none() && self.engine.is_closing() {
            self.phase = Phase::Flushing;
            return self.step_flushing(cx);
        }
        if self.pull() {
            return Step::Again;
        }
        let has_room = self
            .current
            .as_ref()
            .is_none_or(|current| current.body_complete || current.exchange.has_body_room());
        if !self.is_http1 && self.is_preface() {
            return Step::Wait;
        }
        if (self.is_http1 || self.input.is_empty())
            && has_room
            && !self.is_behind()
            && let Some(event) = self.engine.poll_event(self.handle.now(), &mut self.input)
        {
            self.handle_event(cx, event);
            return Step::Again;
        }
        if self.ended && self.current.is_none() {
            self.phase = Phase::Flushing;
            return Step::Again;
        }
        if has_room && !self.ended && self.may_read() {
            return self.read(cx);
        }
        if self.io.is_hung_up() {
            self.tell_end();
        }
        self.wait_or_close()
    }

    /// Nothing is read now, so that only the poller can tell of a peer that is gone. What it sent
    /// and nobody has read goes with it.
    pub(super) fn wait_or_close(&mut self) -> Step {
        if self.io.is_broken() {
            self.phase = Phase::Closed;
            return Step::Again;
        }
        Step::Wait
    }

    /// A response is on its way to a slow reader: the time for the next request begins after it.
    fn is_behind(&self) -> bool {
        self.current.is_none()
            && self.held.is_none()
            && self.input.is_empty()
            && !self.output.is_empty()
    }

    /// True if the first bytes are, or may become, the preface of HTTP/2 (RFC 9113, 3.4).
    fn is_preface(&mut self) -> bool {
        let len = self.input.len().min(PREFACE.len());
        if self.input[..len] != PREFACE[..len] {
            self.is_http1 = true;
            return false;
        }
        if len == PREFACE.len() {
            self.phase = Phase::Http2;
            return true;
        }
        false
    }

    /// The peer has ended its side.
    pub(super) fn tell_end(&self) {
        if let Some(current) = &self.current {
            current.leave();
        }
    }

    /// While a response is awaited, only a little of what is pipelined behind it is read.
    fn may_read(&self) -> bool {
        let awaits_response = self
            .current
            .as_ref()
            .is_some_and(|current| current.body_complete);
        !awaits_response || self.input.len() < PREFETCH
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step {
        if self.input.capacity() == 0 {
            self.input = self.service.take_buffer();
        }
        match poll_read_buf(&mut self.io, cx, &mut self.input) {
            Poll::Pending => {
                if self.input.is_empty() {
                    self.service.give_buffer(std::mem::take(&mut self.input));
                }
                Step::Wait
            }
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                if let Some(event) = self.engine.handle_eof(&self.input) {
                    self.handle_event(cx, event);
                }
                self.tell_end();
                Step::Again
            }
            Poll::Ready(Ok(_)) => Step::Again,
            Poll::Ready(Err(_)) => {
                self.phase = Phase::Closed;
                Step::Wait
            }
        }
    }
}

/// Bytes read ahead of a response that is awaited.
const PREFETCH: usize = READ_SIZE;
