//! The states of the two directions of a connection.

use super::body::Decoder;

/// What is expected of the peer.
///
/// ```text
/// Head --head--> Body --end--> Complete --response complete--> Head
///   any state --error, end of input, no keep-alive--> Closed
/// ```
#[derive(Debug)]
pub(super) enum Receiving {
    Head,
    Body(Decoder),
    Complete,
    Closed,
}

/// What is owed to the peer.
///
/// ```text
/// Idle --request--> Awaited --head--> Sized | Chunked | UntilClose | Swallow --end--> Complete
///   ^                                                                                  |
///   +----------------------------- request complete -----------------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Idle,
    Awaited,
    Sized(u64),
    Chunked,
    UntilClose,
    Swallow,
    Complete,
}
