//! `Over`: how an exchange ends.

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
