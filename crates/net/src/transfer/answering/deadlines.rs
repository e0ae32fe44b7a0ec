//! Deadlines of an exchange: the hold on its head, a peer that takes nothing, a body that stops.

use std::time::Instant;

use super::{Answering, Phase};
use crate::transfer::StreamIo;

impl<S: StreamIo> Answering<S> {
    /// The time at which the transfer is to be polled again, whatever the peer and the application
    /// do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limits = &self.shared.service.limits;
        let write = self
            .blocked_since
            .map(|since| since + limits.timeouts.write);
        let head = self.head_deadline.filter(|at| *at > self.shared.now());
        [head, write, self.body_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time until which the peer must send more of a body that is waited for.
    fn body_deadline(&self) -> Option<Instant> {
        let incoming = self.incoming.as_ref()?;
        if self.ends.opening.is_some() {
            return None;
        }
        let exchange = &self.ends.exchange;
        let is_awaited = match &self.phase {
            // The received part is held until the rest is there.
            Phase::Held(held) => held.awaits_body || exchange.body_held() == 0,
            _ => exchange.wants_body() && exchange.body_held() == 0,
        };
        let waits = !incoming.is_complete() && is_awaited;
        let timeout = self.shared.service.limits.timeouts.body;
        waits.then(|| incoming.last_data_at() + timeout)
    }

    /// True if the peer has kept the transfer waiting for too long.
    pub(super) fn has_expired(&self) -> bool {
        let now = self.shared.now();
        let limits = &self.shared.service.limits;
        self.body_deadline().is_some_and(|deadline| deadline <= now)
            || self
                .blocked_since
                .is_some_and(|since| since + limits.timeouts.write <= now)
    }
}
