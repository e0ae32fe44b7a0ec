//! The time behind a response: bounds on the rest of a request that nobody wants, and the WebSocket
//! connection that some responses open.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;

use super::shared::{Alarm, Shared};
use super::stream_io::StreamIo;
use super::tunnel::Tunnel;
use crate::exchange::messages::Opening;
use crate::stream::output::Output;
use crate::ws::{self, Upgraded};

/// The WebSocket connection that a stream carries once its opening request was answered.
pub(super) struct OpenWebSocket<S: StreamIo> {
    connection: Box<ws::Connection<Tunnel<S>>>,
    alarm: Alarm,
}

impl<S: StreamIo> OpenWebSocket<S> {
    pub(super) fn new(io: S, opening: Opening, shared: &Rc<Shared>, alarm: Alarm) -> Self {
        let upgraded = Upgraded {
            io: Tunnel::new(io, Rc::clone(shared)),
            input: BytesMut::new(),
            output: Output::default(),
            deflation: opening.handshake.deflation(),
            budget: shared.inflated.clone(),
            messages: opening.messages,
        };
        let (service, handle) = (Rc::clone(&shared.service), shared.handle.clone());
        Self {
            connection: ws::Connection::new(upgraded, service, handle),
            alarm,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A connection that does not read for now would not see a reset.
        if self.connection.io_mut().poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        let over = self.connection.poll(cx);
        self.alarm.keep(cx, self.connection.deadline());
        if over.is_pending() && self.connection.gives_way() {
            cx.waker().wake_by_ref();
        }
        over.map(|_| ())
    }
}

/// Time and bytes for which the rest of an answered request is read and thrown away. Clients that are
/// reset in the middle of an upload lose the response (httpx), or hang (curl 7).
pub(super) const DISCARD_TIME: Duration = Duration::from_secs(5);
pub(super) const DISCARD_LIMIT: usize = 64 * 1024 * 1024;
