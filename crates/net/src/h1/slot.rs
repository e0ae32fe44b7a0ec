//! `Slot`: the request that a connection is busy with, from its head to the end of its response. There is one at a
//! time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::admission::line::Wait;
use crate::exchange::app::{BodyWish, Source};
use crate::exchange::flights::{Flights, InFlight};
use crate::exchange::messages::Opening;
use crate::exchange::reply::Reply;
use crate::exchange::{Exchange, Over};
use crate::metrics::Meter;

/// See the module's documentation.
pub(super) enum Slot {
    /// No request has come yet.
    Fresh,
    /// Every request that has come is answered.
    Idle,
    /// A request waits for its body, its turn or a place among the active ones.
    Held(Box<Held>),
    /// The application has been called.
    Running(Current),
}

/// A request that the application has not been called for.
pub(super) struct Held {
    pub(super) expects_continue: bool,
    pub(super) exchange: Arc<Exchange>,
    pub(super) flight: Option<InFlight>,
    pub(super) websocket: Option<Opening>,
    pub(super) body_complete: bool,
    /// How much of the body the application wants to start with.
    pub(super) wish: BodyWish,
    /// That much of the body has come.
    pub(super) is_ready: bool,
    /// Its wait for a permit.
    pub(super) wait: Wait,
    pub(super) meter: Meter,
    pub(super) overdue_at: Option<Instant>,
}

/// The exchange in progress.
pub(super) struct Current {
    pub(super) exchange: Arc<Exchange>,
    /// While the response waits.
    pub(super) flight: Option<InFlight>,
    pub(super) replies: VecDeque<Reply>,
    pub(super) source: Option<Pulled>,
    pub(super) expects_continue: bool,
    pub(super) body_complete: bool,
    pub(super) websocket: Option<Opening>,
    /// A head waits for what follows it until then, so that both leave in one write.
    pub(super) head_deadline: Option<Instant>,
    pub(super) meter: Meter,
    pub(super) overdue_at: Option<Instant>,
}

/// The rest of a response that is made piece by piece.
pub(super) struct Pulled {
    pub(super) source: Box<dyn Source>,
    /// Until then it is asked for more without writing in between.
    pub(super) gathers_until: Option<Instant>,
}

impl Slot {
    /// True without a request.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Fresh | Self::Idle)
    }

    /// True if a request waits for nothing but its turn and its place.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Held(held) if held.is_ready)
    }

    /// The exchange that the application has been called for.
    pub(super) fn current(&self) -> Option<&Current> {
        match self {
            Self::Running(current) => Some(current),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn current_mut(&mut self) -> Option<&mut Current> {
        match self {
            Self::Running(current) => Some(current),
            _ => None,
        }
    }

    /// Enters the request, which waits: see [`Flights::note_waiting`].
    pub(super) fn enter(&mut self, flights: &Arc<Flights>, is_stuck: bool) {
        let (entry, exchange) = match self {
            Self::Held(held) => (&mut held.flight, &held.exchange),
            Self::Running(current) => (&mut current.flight, &current.exchange),
            Self::Fresh | Self::Idle => return,
        };
        flights.note_waiting(entry, exchange, is_stuck);
    }

    /// The meter of the request that has not been answered.
    pub(super) fn meter(&mut self) -> Option<&mut Meter> {
        match self {
            Self::Held(held) => Some(&mut held.meter),
            Self::Running(current) => Some(&mut current.meter),
            Self::Fresh | Self::Idle => None,
        }
    }

    /// The time by which the response must be complete.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        match self {
            Self::Held(held) => held.overdue_at,
            Self::Running(current) => current.overdue_at,
            Self::Fresh | Self::Idle => None,
        }
    }

    /// Ends the request, for the application too if it has been called.
    pub(super) fn finish(&mut self, over: Over) {
        if let Self::Running(current) = self {
            current.exchange.finish(over);
        }
        *self = Self::Idle;
    }
}

impl Current {
    /// The peer has ended its sending side.
    pub(super) fn leave(&self) {
        self.exchange.leave();
        if let Some(opening) = &self.websocket {
            opening.messages.lose();
        }
    }

    /// True if a source makes the rest of the response.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(opening) = &self.websocket {
            opening.messages.lose();
        }
        // Answered exchanges are finished already; this one is cut off.
        self.exchange.finish(Over::Disconnected);
    }
}
