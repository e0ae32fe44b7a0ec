//! `Deadline`: what a connection waits for, and the time by which it must come.

use std::time::{Duration, Instant};

use super::options::Options;
use super::state::{Receive, State};
use crate::error::PeerError;
use crate::pace::Pace;

/// The awaited step of the peer, with the time by which it must come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deadline {
    None,
    /// The first byte of the first request. The time for its head counts from here too.
    First(Instant),
    /// The first byte of another request.
    Idle(Instant),
    /// The rest of a head.
    Head(Instant),
    /// More of a body; its lack is this error.
    Body(Instant, PeerError),
    /// The end of a body that is discarded.
    Discard(Instant),
}

impl Deadline {
    /// The deadline for the first request of a connection.
    pub(super) fn first(now: Instant, options: &Options) -> Self {
        Self::after(now, options.head_timeout, Self::First)
    }

    /// The time.
    pub(super) fn at(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::First(at)
            | Self::Idle(at)
            | Self::Head(at)
            | Self::Body(at, _)
            | Self::Discard(at) => Some(at),
        }
    }

    /// The deadline for `state`. A wait for the same step keeps its time.
    pub(super) fn next(
        self,
        state: &State,
        options: &Options,
        now: Instant,
        pace: &mut Pace,
    ) -> Self {
        match (&state.receive, self) {
            (Receive::Head(scan), Self::First(at)) if scan.is_started() => Self::Head(at),
            (Receive::Head(scan), Self::Head(_)) if scan.is_started() => self,
            (Receive::Head(scan), _) if scan.is_started() => {
                Self::after(now, options.head_timeout, Self::Head)
            }
            (Receive::Head(_), Self::First(_) | Self::Idle(_)) => self,
            (Receive::Head(_), _) => Self::after(now, options.idle_timeout, Self::Idle),
            // The peer waits for 100 (Continue), which is the application's to ask for.
            (Receive::Body(_), _) if state.awaits_continue() => Self::None,
            (Receive::Body(_), Self::Body(..)) => self,
            (Receive::Body(_), _) => {
                pace.wait(now);
                pace.deadline(&options.body_pace)
                    .map_or(Self::None, |(at, error)| Self::Body(at, error))
            }
            (Receive::Discard { .. }, Self::Discard(_)) => self,
            (Receive::Discard { .. }, _) => {
                Self::after(now, options.discard_timeout, Self::Discard)
            }
            (Receive::Complete | Receive::Closed, _) => Self::None,
        }
    }

    /// No deadline, if the clock cannot count that far.
    fn after(now: Instant, time: Duration, make: fn(Instant) -> Self) -> Self {
        now.checked_add(time).map_or(Self::None, make)
    }
}
