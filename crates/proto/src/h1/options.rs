//! `Options`: the bounds of an HTTP/1 connection.

use std::time::Duration;

use crate::pace::PaceBounds;

/// The bounds of one connection. A time that no clock reaches, such as `Duration::MAX`, is none. The values come from `granian_net::limits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Largest request head, and largest trailer section (bytes).
    pub max_head_size: usize,
    /// Longest request target (bytes).
    pub max_target_size: usize,
    /// Most fields of a head, and of a trailer section.
    pub max_fields: usize,
    /// Largest request body (bytes); `None` for any.
    pub max_body_size: Option<u64>,
    /// Time for a head to arrive whole. It counts from the head's first byte, and on a new
    /// connection from the accept.
    pub head_timeout: Duration,
    /// Time for the next request to begin.
    pub idle_timeout: Duration,
    /// Time for the end of a body that is thrown away.
    pub discard_timeout: Duration,
    /// The bounds on the time of a body that the caller waits for.
    pub body_pace: PaceBounds,
    /// Whether connections may serve more than one request.
    pub keep_alive: bool,
}
