//! Deadlines of an exchange: the hold on its head, a peer that takes nothing, a body that stops.

use std::time::Instant;

use granian_proto::PeerError;

use super::{Answering, Phase};
use crate::exchange::reply::Reply;
use crate::transfer::StreamIo;

/// A clock that has run out.
pub(super) enum Expired {
    /// More of the body did not come in time.
    Body(PeerError),
    /// It takes nothing of the response.
    Write,
    /// The response is not complete in time, for whatever reason.
    Request,
    /// No thread of the application waits for it any more.
    Patience,
}

impl<S: StreamIo> Answering<S> {
    /// The time at which the transfer is to be polled again, whatever the peer and the application
    /// do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limits = &self.shared.service.limits;
        let write = self
            .blocked_since
            .map(|since| since + limits.timeouts.write);
        let head = self.head_deadline.filter(|at| *at > self.shared.now());
        let body = self.body_deadline().map(|(at, _)| at);
        let patience = match &self.phase {
            Phase::Held(held) => held.wait.deadline(),
            Phase::Called | Phase::Discarding { .. } => None,
        };
        [head, write, body, self.overdue_at, patience]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time until which the peer must send more of a body that is waited for, and its error otherwise.
    fn body_deadline(&self) -> Option<(Instant, PeerError)> {
        let bounds = &self.shared.service.limits.timeouts.body_pace;
        self.incoming.as_ref()?.pace.deadline(bounds)
    }

    /// Starts or stops the clock of the body, which runs while the peer is waited for.
    pub(super) fn follow_pace(&mut self) {
        let Some(incoming) = self.incoming.as_mut() else {
            return;
        };
        let exchange = &self.ends.exchange;
        let is_awaited = match &self.phase {
            // The received part is held until the rest is there.
            Phase::Held(held) => held.awaits_body || exchange.body_held() == 0,
            _ => exchange.wants_body() && exchange.body_held() == 0,
        };
        // The time until the peer is asked to send is the application's.
        let is_open = self.ends.opening.is_none() && !self.awaits_continue;
        let waits = is_open && !incoming.is_complete() && is_awaited;
        let now = self.shared.now();
        match waits {
            true => incoming.pace.wait(now),
            false => incoming.pace.pause(now),
        }
    }

    /// The clock that has run out, if one has.
    pub(super) fn expired(&self) -> Option<Expired> {
        let now = self.shared.now();
        let timeout = self.shared.service.limits.timeouts.write;
        let body = self.body_deadline().filter(|(at, _)| *at <= now);
        if let Some((_, error)) = body {
            return Some(Expired::Body(error));
        }
        let is_stalled = self
            .blocked_since
            .is_some_and(|since| since + timeout <= now);
        if is_stalled {
            return Some(Expired::Write);
        }
        if self.ends.exchange.is_evicted() {
            return Some(Expired::Patience);
        }
        self.overdue_at
            .is_some_and(|at| at <= now)
            .then_some(Expired::Request)
    }
}

/// Bytes to send.
pub(super) fn left_of(reply: &Reply) -> u64 {
    match reply {
        Reply::File { file, .. } => file.len,
        reply => reply.weight() as u64,
    }
}
