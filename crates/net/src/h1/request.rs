//! From the engine's events to a call of the application: a request is held until it may start, its
//! body goes into the exchange.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use granian_proto::{BodyLength, Event, PeerError, ws};

use super::Connection;
use super::slot::{Current, Held, Pulled, Slot};
use crate::admission::line::Wait;
use crate::admission::queue::Permit;
use crate::close::Limit;
use crate::exchange::app::{BodyWish, Request};
use crate::exchange::messages::{MessageQueue, Opening};
use crate::exchange::{Exchange, SPOOL_THRESHOLD, Unspooled};
use crate::limits::Versions;
use crate::metrics::Moment;
use crate::service::Service;
use crate::stream::socket::Stream;
use crate::stream::wire::Step;

impl<S: Stream> Connection<S> {
    pub(super) fn handle_event(&mut self, cx: &mut Context<'_>, event: Event) {
        if self.service.limits.http == Versions::Http2 {
            return self.refuse_http1(&event);
        }
        match event {
            Event::Request(request) => self.take_request(cx, request),
            Event::Data(data) => self.handle_data(data),
            Event::End(_) => self.handle_end(),
            Event::Refused(error) => self.refuse(error),
        }
    }

    fn handle_data(&mut self, data: Bytes) {
        if let Some(meter) = self.slot.meter() {
            meter.receive(data.len());
        }
        match &mut self.slot {
            Slot::Held(held) if held.wish == BodyWish::Whole => {
                let limit = self.service.limits.wsgi_spool_limit;
                match held.exchange.spool_body(data, limit, &self.service.spools) {
                    Ok(()) => {}
                    Err(Unspooled::Crowded) => self.refuse(PeerError::SpoolsTooLarge),
                    Err(Unspooled::TooLarge) => self.refuse(PeerError::SpoolTooLarge),
                    Err(Unspooled::Storage(error)) => {
                        self.service.complain_of_spool(self.handle.now(), &error);
                        self.refuse(PeerError::NoStorage);
                    }
                }
            }
            Slot::Held(held) => {
                // Nobody reads yet.
                let _ = held.exchange.push_body(data);
                // It is not small: the application reads the rest as it comes.
                if !held.is_ready && held.exchange.body_held() > SPOOL_THRESHOLD {
                    held.is_ready = true;
                    held.meter.note_ready(self.handle.now());
                }
            }
            Slot::Running(current) => self.is_untold = current.exchange.push_body(data),
            Slot::Fresh | Slot::Idle => {}
        }
    }

    fn handle_end(&mut self) {
        match &mut self.slot {
            Slot::Held(held) => {
                held.body_complete = true;
                held.is_ready = true;
                held.meter.note_ready(self.handle.now());
                held.exchange.end_body();
            }
            Slot::Running(current) => {
                current.body_complete = true;
                current.exchange.end_body();
                if self.ended {
                    current.leave();
                }
                self.finish_answered(&mut Moment::default());
            }
            Slot::Fresh | Slot::Idle => {}
        }
    }

    /// Takes in what has already come of the body, so that the application finds it there.
    fn take_request(&mut self, cx: &mut Context<'_>, request: granian_proto::Request) {
        self.count_request();
        let websocket = match self.opening(&request) {
            Ok(websocket) => websocket,
            Err(error) => return self.refuse_request(&request.head, error),
        };
        if websocket.is_none() && self.upgrade_to_http2(&request) {
            return;
        }
        let has_body = request.body != BodyLength::Empty;
        let wish = match has_body {
            true => self.service.app.wants(&request.head),
            false => BodyWish::Nothing,
        };
        let length = match request.body {
            BodyLength::Sized(length) => Some(length),
            _ => None,
        };
        let limits = &self.service.limits;
        if wish == BodyWish::Whole && length > Some(limits.wsgi_spool_limit) {
            return self.refuse_request(&request.head, PeerError::SpoolTooLarge);
        }
        if wish == BodyWish::Whole && request.expect_continue {
            self.engine.send_continue(self.wire.output.tail());
        }
        let expects_continue = request.expect_continue;
        let waits = wish.is_waiting(length, self.service.limits.window, expects_continue);
        let now = self.handle.now();
        let service = &self.service;
        let exchange = service.receive(request.head, &self.peer, has_body, now);
        let mut held = Held {
            meter: service.meter(&exchange),
            expects_continue,
            exchange: Arc::clone(&exchange),
            flight: None,
            websocket,
            body_complete: !has_body,
            wish,
            is_ready: !waits,
            wait: Wait::default(),
            overdue_at: service.overdue_at(now),
        };
        if waits {
            held.meter.note_reading();
        }
        // Queued bytes leave first: the application may take its time.
        let starts_now = !has_body && self.wire.output.is_empty() && self.service.app.may_start();
        if starts_now && let Poll::Ready(admitted) = self.poll_admit(cx, &mut held) {
            return self.begin(held, admitted);
        }
        self.slot = Slot::Held(Box::new(held));
        if has_body {
            self.gather(cx, &exchange);
        }
    }

    /// Takes in what has come of the body of a request that is held.
    fn gather(&mut self, cx: &mut Context<'_>, exchange: &Exchange) {
        while exchange.has_body_room() && matches!(self.slot, Slot::Held(_)) {
            match self
                .engine
                .poll_event(self.handle.now(), &mut self.wire.input)
            {
                Some(Event::End(trailers)) => return self.handle_event(cx, Event::End(trailers)),
                Some(event) => self.handle_event(cx, event),
                None => return,
            }
        }
    }

    /// The last request that a connection may carry is answered with `connection: close`.
    fn count_request(&mut self) {
        self.requests += 1;
        let most = self.service.limits.connections.max_requests;
        if most.is_some_and(|most| self.requests >= most) {
            self.engine.disable_keep_alive();
            self.service
                .note_limit(&self.peer, Limit::MaxRequestsPerConnection);
        }
    }

    /// The opening of a WebSocket connection, if the request is for one.
    fn opening(&self, request: &granian_proto::Request) -> Result<Option<Opening>, PeerError> {
        let limits = &self.service.limits;
        let is_offered = request.upgrade
            && limits.websocket.enabled
            && self.service.app.speaks_websocket()
            && ws::Handshake::is_offered(&request.head);
        if !is_offered {
            return Ok(None);
        }
        if request.body != BodyLength::Empty {
            return Err(PeerError::Handshake);
        }
        let handshake = ws::Handshake::parse(&request.head, limits.websocket.deflate)?;
        Ok(Some(Opening {
            handshake: Arc::new(handshake),
            messages: Arc::new(MessageQueue::new(
                limits.websocket.queue_size,
                limits.window,
            )),
        }))
    }

    pub(super) fn start_held(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.service.app.may_start() {
            cx.waker().wake_by_ref();
            return Step::Wait;
        }
        match std::mem::replace(&mut self.slot, Slot::Idle) {
            Slot::Held(mut held) => match self.poll_admit(cx, &mut held) {
                Poll::Ready(admitted) => self.begin(*held, admitted),
                Poll::Pending => {
                    held.meter.note_wait();
                    self.slot = Slot::Held(held);
                    return self.wait_or_close();
                }
            },
            other => self.slot = other,
        }
        Step::Again
    }

    fn poll_admit(&self, cx: &mut Context<'_>, held: &mut Held) -> Poll<Result<Permit, Limit>> {
        held.exchange.set_queued();
        let Service {
            queue, app, line, ..
        } = &*self.service;
        if line.asks_unread() {
            let unread = self.wire.io.silence();
            held.wait.note_unread(unread.unwrap_or_default());
        }
        let admitted = line.poll(cx, &mut held.wait, queue, &self.handle);
        if !matches!(admitted, Poll::Ready(Ok(_))) && app.skips_queue(&held.exchange.origin().head)
        {
            held.wait = Wait::default();
            return Poll::Ready(Ok(queue.extra()));
        }
        admitted
    }

    fn begin(&mut self, held: Held, admitted: Result<Permit, Limit>) {
        match admitted {
            Ok(permit) => self.start(held, permit),
            Err(limit) => self.turn_away(Box::new(held), limit),
        }
    }

    /// Calls the application.
    fn start(&mut self, held: Held, permit: Permit) {
        let Held {
            expects_continue,
            exchange,
            flight,
            websocket,
            body_complete,
            meter,
            overdue_at,
            ..
        } = held;
        self.service.begin_call(&exchange, permit, &meter);
        self.slot = Slot::Running(Current {
            exchange: Arc::clone(&exchange),
            flight,
            replies: VecDeque::new(),
            source: None,
            expects_continue: expects_continue && !body_complete,
            body_complete,
            websocket: websocket.clone(),
            head_deadline: None,
            meter,
            overdue_at,
        });
        let request = Request {
            exchange,
            websocket,
            accepts_push: false,
        };
        let source = self.service.app.call(request);
        if let Some(source) = source
            && let Slot::Running(current) = &mut self.slot
        {
            current.source = Some(Pulled {
                source,
                gathers_until: None,
            });
        }
    }
}
