//! The group of limits and clocks: `granian.config.limits`.

use std::num::NonZeroU64;
use std::time::Duration;

use pyo3::prelude::*;

use granian_net::limits::{ConnectionLimits, LineLimits, OverloadLimits, RequestLimits, Timeouts};
use granian_proto::PaceBounds;

/// The ends of requests that calls are told of.
#[derive(Clone, Copy, Default)]
pub(crate) struct WatchOptions {
    /// The time that a request may take.
    pub(crate) request_timeout: Option<Duration>,
    /// The task of a call ends when its client has gone.
    pub(crate) cancels_on_disconnect: bool,
}

/// `granian.config.limits.LimitOptions`; sizes in bytes, `None` for no limit.
#[derive(FromPyObject)]
pub(super) struct LimitOptions {
    keep_alive_timeout: Duration,
    request_body_timeout: Duration,
    /// Bytes a second.
    request_body_min_rate: Option<NonZeroU64>,
    write_timeout: Duration,
    request_timeout: Option<Duration>,
    cancel_on_disconnect: bool,
    max_headers: usize,
    max_target_size: usize,
    max_body_size: Option<u64>,
    max_requests_per_connection: Option<u64>,
    max_connections: Option<usize>,
    max_connections_per_client: Option<usize>,
    max_queued_requests: Option<usize>,
    queue_timeout: Option<Duration>,
    overload: Option<(Duration, Duration)>,
}

impl LimitOptions {
    /// The times that a peer may take; `head` is that of a head.
    pub(super) fn timeouts(&self, head: Duration) -> Timeouts {
        Timeouts {
            head,
            keep_alive: self.keep_alive_timeout,
            body_pace: PaceBounds {
                timeout: self.request_body_timeout,
                min_rate: self.request_body_min_rate,
            },
            write: self.write_timeout,
            request: self.request_timeout,
        }
    }

    /// The ends of requests that the application's calls are told of.
    pub(super) fn watch(&self) -> WatchOptions {
        WatchOptions {
            request_timeout: self.request_timeout,
            cancels_on_disconnect: self.cancel_on_disconnect,
        }
    }

    /// False if connections end with their first response.
    pub(super) fn keeps_connections(&self) -> bool {
        !self.keep_alive_timeout.is_zero()
    }

    /// The numbers of connections, and of requests on one.
    pub(super) fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            max: self.max_connections,
            per_client: self.max_connections_per_client,
            max_requests: self.max_requests_per_connection,
        }
    }

    /// The bounds of the line of requests.
    pub(super) fn line(&self) -> LineLimits {
        LineLimits {
            max_queued: self.max_queued_requests,
            timeout: self.queue_timeout,
            overload: self
                .overload
                .map(|(target, interval)| OverloadLimits { target, interval }),
        }
    }

    /// The sizes of a request.
    pub(super) fn request(&self) -> RequestLimits {
        RequestLimits {
            max_headers: self.max_headers,
            max_target_size: self.max_target_size,
            max_body_size: self.max_body_size,
        }
    }
}
