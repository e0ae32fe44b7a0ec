//! `Over`: how an exchange ends.

use super::{Exchange, State};
use crate::runtime::waker::lock;

/// The reason why an exchange is over for its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The peer left, or the worker stops.
    Disconnected,
    /// The response was handed to the socket whole.
    Answered,
    /// The peer broke its framing and got this status, before the application answered.
    Refused(u16),
    /// The request took too long. The peer got this status, if nothing had been sent.
    Overdue(Option<u16>),
}

impl Exchange {
    /// True once no reply goes out any more.
    pub fn is_closed(&self) -> bool {
        lock(&self.state).over.is_some()
    }

    /// The reason why the exchange is over, if it is.
    pub fn over(&self) -> Option<Over> {
        lock(&self.state).over()
    }
}

impl State {
    pub(super) fn over(&self) -> Option<Over> {
        self.over.or(self.left.then_some(Over::Disconnected))
    }
}
