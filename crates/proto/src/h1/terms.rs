//! `ResponseTerms`: the facts of a request that its response depends on.

use crate::head::Version;

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ResponseTerms {
    pub(super) version: Version,
    /// The method is HEAD.
    pub(super) is_head: bool,
    /// The peer wants the connection to persist.
    pub(super) keep_alive: bool,
    /// The peer holds the body back until it is told to go on.
    pub(super) awaits_continue: bool,
}

impl ResponseTerms {
    /// The terms of the answer to a head that could not be parsed: HTTP/1.1, then close.
    pub(super) fn refused() -> Self {
        Self {
            version: Version::Http11,
            is_head: false,
            keep_alive: false,
            awaits_continue: false,
        }
    }
}
