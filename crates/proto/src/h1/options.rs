//! `Options`: the bounds of an HTTP/1 connection.

use std::time::Duration;

/// The bounds that a connection works within.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of a request head, and of trailers.
    pub max_head_size: usize,
    /// Bytes of a request target.
    pub max_target_size: usize,
    /// Fields of a request, and of trailers.
    pub max_fields: usize,
    /// Bytes of a request body.
    pub max_body_size: Option<u64>,
    /// For a head to come in whole, counted from its first byte; on a new connection from the
    /// start.
    pub header_timeout: Duration,
    /// For the next request to begin.
    pub keep_alive_timeout: Duration,
    /// For the next piece of a body that the caller waits for.
    pub body_timeout: Option<Duration>,
    /// Whether connections may serve more than one request.
    pub keep_alive: bool,
}
