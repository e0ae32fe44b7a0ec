//! Output of a WebSocket connection, from the application to the stream.

use std::task::Context;
use std::time::Instant;

use super::Connection;
use crate::close::CloseCause;
use crate::exchange::messages::Message;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    pub(super) fn take_outgoing(&mut self, cx: &mut Context<'_>) {
        if self.wire.output.len() >= self.service.limits.window {
            // The application waits until the stream has taken some; until then it may read.
            return self.messages.watch(cx);
        }
        let now = self.handle.now();
        let (messages, close) = self.messages.poll_outgoing(cx);
        if let Some(payload) = self.ping.take() {
            self.engine
                .send_pong(now, &payload, self.wire.output.tail());
        }
        for message in messages {
            self.encode(now, message);
        }
        if let Some((code, reason)) = close {
            let reason = std::str::from_utf8(&reason).unwrap_or_default();
            self.engine
                .send_close(now, Some(code), reason, self.wire.output.tail());
        }
    }

    fn encode(&mut self, now: Instant, message: Message) {
        self.wire.note_taken();
        let Message { data, is_text } = message;
        let Self { engine, wire, .. } = self;
        let output = &mut wire.output;
        if data.len() > COPY_LIMIT && !engine.compresses(data.len()) {
            if engine.begin_message(now, is_text, data.len(), output.tail()) {
                output.push(data);
            }
        } else if is_text {
            engine.send_text(now, &data, output.tail());
        } else {
            engine.send_binary(now, &data, output.tail());
        }
    }

    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = self.wire.write(cx, self.handle.now(), false) {
            self.end_now(CloseCause::of_write(&error));
        } else if let Some(unsent) = self.wire.take_unsent() {
            self.messages.set_unsent(unsent);
        }
    }
}

/// Larger messages go out by reference.
const COPY_LIMIT: usize = 8 * 1024;
