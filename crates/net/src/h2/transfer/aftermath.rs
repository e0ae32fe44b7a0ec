//! What follows a response: the rest of a request that is not wanted, or a WebSocket connection.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::SendStream;

use super::{Phase, Step, Transfer};
use crate::exchange::Over;
use crate::h2::incoming::Incoming;
use crate::h2::tunnel::Tunnel;
use crate::stream::output::Output;
use crate::ws::{self, Upgraded};

impl Transfer {
    /// Nothing more goes out. What comes in is looked at only if it is to be waited for.
    pub(super) fn ebb(&mut self) -> Step {
        if self.incoming.as_ref().is_none_or(Incoming::is_complete) {
            return Step::Over;
        }
        let until = self.shared.now() + EBB;
        self.phase = Phase::Ebbing { until };
        Step::Wait
    }

    /// From here on the stream is a WebSocket connection's, which is no active exchange.
    pub(super) fn open(&mut self, stream: SendStream<Bytes>) -> Step {
        let (Some(opening), Some(incoming)) = (self.opening.take(), self.incoming.take()) else {
            return Step::Over;
        };
        let shared = &self.shared;
        let upgraded = Upgraded {
            io: Tunnel::new(stream, incoming.into_stream(), Rc::clone(shared)),
            input: BytesMut::new(),
            output: Output::default(),
            deflation: opening.handshake.deflation(),
            socket: opening.socket,
        };
        let (service, handle) = (Rc::clone(&shared.service), shared.handle.clone());
        let connection = ws::Connection::new(upgraded, service, handle);
        self.exchange.finish(Over::Answered);
        self.phase = Phase::Opened(Box::new(connection));
        Step::Wait
    }

    fn poll_ebb(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(());
        };
        if until <= self.shared.now() || !incoming.discard(cx, EBB_LIMIT) {
            return Poll::Ready(());
        }
        self.alarm.set(cx, Some(until));
        Poll::Pending
    }

    /// What follows the response, once there is one.
    pub(super) fn poll_aftermath(&mut self, cx: &mut Context<'_>) -> Option<Poll<()>> {
        match &mut self.phase {
            Phase::Held(..) | Phase::Called(_) => None,
            Phase::Ebbing { until } => {
                let until = *until;
                Some(self.poll_ebb(cx, until))
            }
            Phase::Opened(connection) => {
                // A connection that does not read for now would not see it.
                if connection.io_mut().poll_reset(cx).is_ready() {
                    return Some(Poll::Ready(()));
                }
                let over = connection.poll(cx);
                self.alarm.keep(cx, connection.deadline());
                Some(over)
            }
        }
    }
}

/// How long, and for how many bytes, the rest of a request is waited for that has its response.
/// Clients that are reset in the middle of an upload lose the response (httpx), or hang (curl 7).
const EBB: Duration = Duration::from_secs(5);
const EBB_LIMIT: usize = 64 * 1024 * 1024;
