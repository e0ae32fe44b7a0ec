//! When a connection has to end: the worker stops, or a time is over.

use std::time::{Duration, Instant};

use h2::Reason;

use super::{Connection, Phase};
use crate::service::Stage;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    pub(super) fn handle_stage(&mut self) {
        match self.shared.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining => match std::mem::replace(&mut self.phase, Phase::Closed) {
                Phase::Serving(mut codec) => {
                    codec.graceful_shutdown();
                    self.shared.ring_all();
                    self.phase = Phase::Draining(codec);
                }
                other => self.phase = other,
            },
            Stage::Cancelled => self.close(),
        }
    }

    pub(super) fn handle_deadlines(&mut self) {
        self.shared.ring_alarms();
        let now = self.shared.now();
        let timeout = self.shared.service.limits.write_timeout;
        if self
            .stall
            .is_over(now, timeout, || self.pipe.unacknowledged())
        {
            self.pipe.reset_on_close();
            return self.close();
        }
        if let Phase::Lingering(until) = self.phase
            && until <= now
        {
            self.close();
        }
    }

    /// True if the codec has something to say.
    pub(super) fn handle_input_deadline(&mut self) -> bool {
        let now = self.shared.now();
        if self.input_deadline().is_none_or(|at| at > now) {
            return false;
        }
        match &mut self.phase {
            Phase::Preface(_) => self.close(),
            Phase::Serving(codec) | Phase::Draining(codec) => {
                // The error of a peer that is merely silent is none.
                let reason = if self.pipe.section_since().is_some() {
                    Reason::ENHANCE_YOUR_CALM
                } else {
                    Reason::NO_ERROR
                };
                codec.abrupt_shutdown(reason);
                return true;
            }
            _ => {}
        }
        false
    }

    /// By when the peer must do something that keeps the connection open.
    fn input_deadline(&self) -> Option<Instant> {
        let timeout = self.shared.service.limits.http2.header_timeout;
        let section = self.pipe.section_since().map(|since| since + timeout);
        let idle = match &self.phase {
            Phase::Preface(_) => {
                let grace = self.shared.service.drain_grace(true);
                return [Some(self.since + timeout), grace]
                    .into_iter()
                    .flatten()
                    .min();
            }
            _ if !self.transfers.is_empty() => None,
            Phase::Serving(_) if !self.has_served => Some(self.since + timeout),
            Phase::Serving(_) => Some(self.pipe.last_input() + IDLE_TIMEOUT),
            // A peer that does not answer the codec's PING must not hold a worker that stops.
            Phase::Draining(_) => self.shared.service.drain_grace(true),
            Phase::Lingering(_) | Phase::Closed => None,
        };
        [section, idle].into_iter().flatten().min()
    }

    pub(super) fn set_deadline(&self) {
        let now = self.shared.now();
        let lingering = match self.phase {
            Phase::Lingering(until) => Some(until),
            _ => None,
        };
        let input = match self.phase {
            // Once it has passed, the codec is closing already.
            Phase::Serving(_) | Phase::Draining(_) => self.input_deadline().filter(|at| *at > now),
            _ => self.input_deadline(),
        };
        let pings = self
            .pings
            .as_ref()
            .and_then(|pings| pings.deadline(self.pipe.last_input()));
        let next = [
            lingering,
            input,
            pings,
            self.stall.deadline(),
            self.shared.next_alarm(),
        ];
        self.shared
            .handle
            .set_deadline(next.into_iter().flatten().min());
    }
}

/// A connection that has served requests and then neither sends nor is sent anything.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
