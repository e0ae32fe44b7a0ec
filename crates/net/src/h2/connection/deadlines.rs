//! Deadlines of a connection, and the end that the worker's stage brings.

use std::task::Context;
use std::time::Instant;

use h2::Reason;

use super::{Connection, Course, Phase};
use crate::close::{CloseCause, Limit};
use crate::service::Stage;
use crate::stream::socket::Stream;
use crate::transfer::Shared;

impl<S: Stream> Connection<S> {
    pub(super) fn handle_stage(&mut self) {
        match self.shared.service.stage.get() {
            Stage::Serving => {}
            Stage::Draining => {
                if let Phase::Open(codec, course @ Course::Serving) = &mut self.phase {
                    codec.graceful_shutdown();
                    *course = Course::Draining {
                        // Output that waits for the socket would leave behind the PING.
                        is_idle: self.transfers.is_empty() && !self.pipe.is_blocked(),
                        cause: CloseCause::Drained,
                    };
                    self.shared.ring_all();
                }
            }
            Stage::Cancelled => self.close(CloseCause::Cancelled),
        }
    }

    /// Ends a connection without a request, if others need its place.
    pub(super) fn close_if_crowded(&mut self, cx: &mut Context<'_>) {
        if !self.shared.service.crowd.is_bounded() {
            return;
        }
        let Phase::Open(codec, course @ Course::Serving) = &mut self.phase else {
            return;
        };
        let is_idle = self.transfers.is_empty() && self.pipe.section_since().is_none();
        let Shared {
            service,
            handle,
            peer,
            ..
        } = &*self.shared;
        if !is_idle {
            service.crowd.note_busy(handle.key());
        } else if service
            .crowd
            .note_idle(handle.key(), self.requests, handle.now())
        {
            service.note_limit(peer, Limit::MaxConnections);
            codec.abrupt_shutdown(Reason::NO_ERROR);
            *course = Course::Closing(CloseCause::CrowdedOut);
            cx.waker().wake_by_ref();
        }
    }

    pub(super) fn handle_deadlines(&mut self) {
        self.shared.ring_alarms();
        let now = self.shared.now();
        if self.pipe.check_stall(now) {
            return self.close(CloseCause::WriteTimeout);
        }
        if let Phase::Lingering(until, cause) = self.phase
            && until <= now
        {
            self.close(cause);
        }
    }

    /// Ends the connection if an input deadline has passed. True if the codec has a GOAWAY to write.
    pub(super) fn handle_input_deadline(&mut self) -> bool {
        let now = self.shared.now();
        let Some((_, cause)) = self.input_deadline().filter(|(at, _)| *at <= now) else {
            return false;
        };
        if matches!(cause, CloseCause::IdleTimeout | CloseCause::HeadTimeout) {
            let limit = match cause {
                CloseCause::IdleTimeout if self.requests > 0 => Limit::Http2IdleTimeout,
                _ => Limit::Http1HeaderReadTimeout,
            };
            self.shared.service.note_limit(&self.shared.peer, limit);
        }
        if let Phase::Open(codec, course) = &mut self.phase {
            codec.abrupt_shutdown(match cause {
                CloseCause::HeadTimeout => Reason::ENHANCE_YOUR_CALM,
                // A silent peer has made no error.
                _ => Reason::NO_ERROR,
            });
            *course = Course::Closing(cause);
            return true;
        }
        self.close(cause);
        false
    }

    /// The time until which input must come, and the cause that the connection is closed for otherwise.
    fn input_deadline(&self) -> Option<(Instant, CloseCause)> {
        let limits = &self.shared.service.limits;
        let timeout = limits.timeouts.head;
        let grace = self.shared.service.drain_grace(true);
        let drained = grace.map(|at| (at, CloseCause::Drained));
        let first_request = (self.opened_at + timeout, CloseCause::IdleTimeout);
        let course = match &self.phase {
            Phase::Preface(_) => return earlier(Some(first_request), drained),
            Phase::Open(_, course) => course,
            Phase::Lingering(..) | Phase::Closed(_) => return None,
        };
        let idle = match course {
            Course::Closing(_) => return None,
            _ if !self.transfers.is_empty() => None,
            Course::Serving if self.requests == 0 => Some(first_request),
            Course::Serving => {
                let at = self.pipe.last_input() + limits.http2.idle_timeout;
                Some((at, CloseCause::IdleTimeout))
            }
            // The codec drains behind a PING. A peer that does not answer it must not hold the worker.
            Course::Draining { cause, .. } => {
                let at = self.pipe.last_input() + timeout;
                drained.or(Some((at, *cause)))
            }
        };
        let section = self.pipe.section_since();
        let section = section.map(|since| (since + timeout, CloseCause::HeadTimeout));
        earlier(section, idle)
    }

    pub(super) fn set_deadline(&self) {
        let lingering = match self.phase {
            Phase::Lingering(until, _) => Some(until),
            _ => None,
        };
        let pings = self
            .pings
            .as_ref()
            .and_then(|pings| pings.deadline(self.pipe.last_input()));
        let next = [
            lingering,
            self.input_deadline().map(|(at, _)| at),
            pings,
            self.pipe.stall_deadline(),
            self.shared.next_alarm(),
        ];
        self.shared
            .handle
            .set_deadline(next.into_iter().flatten().min());
    }
}

fn earlier(
    first: Option<(Instant, CloseCause)>,
    second: Option<(Instant, CloseCause)>,
) -> Option<(Instant, CloseCause)> {
    [first, second]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
}
