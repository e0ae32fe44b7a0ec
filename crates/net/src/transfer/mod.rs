//! `Transfer`: one exchange on its stream of a connection that carries many, from the request's head to the response's
//! last frame. A future of its own among those of its connection, woken by what concerns its stream only.
//!
//! Everything here holds for any protocol that multiplexes. `StreamIo` is the protocol's part: `h2::stream` implements
//! it on the `h2` crate's types.

mod after_response;
mod answering;
mod coalescing;
pub(crate) mod head;
mod incoming;
mod outgoing;
mod room;
mod shared;
mod stream_io;
pub(crate) mod tunnel;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use granian_proto::RequestHead;

use self::after_response::OpenWebSocket;
use self::answering::{Answering, Progress};
pub(crate) use self::coalescing::CoalescingWaker;
pub(crate) use self::shared::Shared;
pub(crate) use self::stream_io::{ResetReason, StreamIo};
use crate::budget::Loan;
use crate::exchange::messages::Opening;

/// See the module's documentation.
pub(crate) struct Transfer<S: StreamIo> {
    shared: Rc<Shared>,
    phase: Phase<S>,
    /// For the request's head, if it is large, until there is a WebSocket connection.
    head: Option<Loan>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are answering: a box would be one more allocation for each request"
)]
enum Phase<S: StreamIo> {
    /// The request waits for its turn, or for its response.
    Answering(Answering<S>),
    /// The stream carries a WebSocket connection.
    WebSocket(OpenWebSocket<S>),
    Over,
}

impl<S: StreamIo> Transfer<S> {
    /// A transfer for a request whose head has come on `io`; `opening` if the request is for a WebSocket connection,
    /// `loan` if the head is large.
    pub(crate) fn new(
        shared: Rc<Shared>,
        head: Arc<RequestHead>,
        opening: Option<Opening>,
        loan: Option<Loan>,
        io: S,
    ) -> Self {
        let answering = Answering::new(Rc::clone(&shared), head, opening, io);
        Self {
            shared,
            phase: Phase::Answering(answering),
            head: loan,
        }
    }
}

impl<S: StreamIo> Future for Transfer<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.is_held() || !self.shared.may_go_on() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            match &mut self.phase {
                Phase::Answering(answering) => match answering.poll(cx) {
                    Progress::Wait => return Poll::Pending,
                    Progress::Over => return Poll::Ready(()),
                    Progress::Opened => {}
                },
                Phase::WebSocket(websocket) => return websocket.poll(cx),
                Phase::Over => return Poll::Ready(()),
            }
            if let Phase::Answering(answering) = std::mem::replace(&mut self.phase, Phase::Over)
                && let Some(websocket) = answering.into_websocket()
            {
                self.phase = Phase::WebSocket(websocket);
                self.head = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
