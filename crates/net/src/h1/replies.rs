//! Replies, from the application through the engine to the output.

use std::task::Context;

use granian_proto::{Content, SendError};

use super::slot::{Current, Slot};
use super::{Connection, PUT_OFF, Phase};
use crate::bounds::HEAD_HOLD;
use crate::close::CloseCause;
use crate::exchange::Over;
use crate::exchange::reply::Reply;
use crate::metrics::Moment;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    pub(super) fn take_replies(&mut self, cx: &mut Context<'_>) {
        let window = self.service.limits.window;
        if self.slot.current().is_some() && self.wire.output.is_full(window) {
            self.write(cx);
        }
        let Slot::Running(current) = &mut self.slot else {
            return;
        };
        if self.wire.output.is_full(window) {
            // The poller reports room. Until then the application may read.
            current.exchange.set_stuck();
            return current.exchange.watch(cx);
        }
        let now = self.handle.now();
        let head_too = current
            .head_deadline
            .is_some_and(|deadline| deadline <= now);
        if current
            .exchange
            .poll_replies(cx, &mut current.replies, head_too)
        {
            current.head_deadline.get_or_insert(now + HEAD_HOLD);
        }
        if !current.replies.is_empty() {
            self.wire.note_taken();
        }
        if current.expects_continue && current.exchange.wants_body() {
            current.expects_continue = false;
            self.engine.send_continue(self.wire.output.tail());
        }
        let mut moment = Moment::default();
        while let Some(reply) = self
            .slot
            .current_mut()
            .and_then(|current| current.replies.pop_front())
        {
            self.encode(reply, &mut moment);
        }
    }

    fn encode(&mut self, reply: Reply, moment: &mut Moment) {
        if let Some(current) = self.slot.current() {
            current.meter.send(&reply, moment);
        }
        let aborts = matches!(reply, Reply::Abort);
        if aborts || self.try_encode(reply).is_err() {
            self.abort();
        } else if self.engine.is_upgraded() {
            let current = self.slot.current_mut();
            let opened = current.and_then(|current| {
                current.meter.finish(moment);
                current.websocket.take()
            });
            self.slot.finish(Over::Answered);
            self.phase = opened.map_or(Phase::Closed(CloseCause::Aborted), Phase::Upgraded);
        } else {
            self.finish_answered(moment);
        }
    }

    /// Ends the exchange if its response is complete. One that no body follows is so with its head,
    /// as soon as the request is whole: an application's stream may never end.
    ///
    /// > Any response to a HEAD request and any response with a 1xx (Informational), 204 (No
    /// > Content), or 304 (Not Modified) status code is always terminated by the first empty line
    /// > after the header fields — RFC 9112, 6.3
    /// > <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
    pub(super) fn finish_answered(&mut self, moment: &mut Moment) {
        let Slot::Running(current) = &mut self.slot else {
            return;
        };
        if current.body_complete && self.engine.is_bodiless() {
            // No body that is swallowed is too short.
            let _ = self.engine.send_end(None, self.wire.output.tail());
        }
        if self.engine.is_response_complete() {
            current.meter.finish(moment);
            // A small one leaves with this turn.
            if self.wire.output.left() > PUT_OFF {
                let entered = current.flight.take();
                let flights = &self.service.flights;
                self.leaving = Some(entered.unwrap_or_else(|| flights.enter(&current.exchange)));
            }
            self.slot.finish(Over::Answered);
            self.service.handled.set(self.service.handled.get() + 1);
        }
    }

    fn try_encode(&mut self, reply: Reply) -> Result<(), SendError> {
        let now = self.handle.now();
        let current = self.slot.current();
        let has_source = current.is_some_and(Current::has_source);
        let Self { engine, wire, .. } = self;
        let output = &mut wire.output;
        match reply {
            Reply::Informational(head) => engine.send_informational(&head, output.tail()),
            Reply::Head(head) => {
                let content = self.content_ahead();
                let date = self.service.date(now);
                self.engine
                    .send_head(&head, content, &date, self.wire.output.tail())
            }
            Reply::Data { data, last } => {
                if !data.is_empty() {
                    let len = engine.begin_data(data.len() as u64, output.tail())?;
                    if len > 0 && has_source {
                        output.gather(data);
                    } else if len > 0 {
                        output.push(data);
                    }
                    engine.end_data(output.tail());
                }
                if last {
                    engine.send_end(None, output.tail())
                } else {
                    Ok(())
                }
            }
            Reply::File { mut file, last } => {
                if file.len > 0 {
                    file.len = engine.begin_data(file.len, output.tail())?;
                    if file.len > 0 {
                        output.push_file(file);
                    }
                    engine.end_data(output.tail());
                }
                if last {
                    engine.send_end(None, output.tail())
                } else {
                    Ok(())
                }
            }
            Reply::Upgrade(head) => {
                let date = self.service.date(now);
                self.engine
                    .send_upgrade(&head, "websocket", &date, self.wire.output.tail())
            }
            Reply::End(trailers) => engine.send_end(trailers.as_ref(), output.tail()),
            // HTTP/1 has no server push.
            Reply::Push(_) | Reply::Abort => Ok(()),
        }
    }

    /// The length of the body, if the reply behind the head is all of it.
    fn content_ahead(&self) -> Content {
        match self
            .slot
            .current()
            .and_then(|current| current.replies.front())
        {
            Some(Reply::Data { data, last: true }) => Content::Length(data.len() as u64),
            Some(Reply::File { file, last: true }) => Content::Length(file.len),
            Some(Reply::End(None)) => Content::Length(0),
            _ => Content::Stream,
        }
    }
}
