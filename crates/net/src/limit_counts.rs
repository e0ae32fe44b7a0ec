//! `Limit`: a bound that an operator can set, as logs and metrics name it; `LimitCounts`: how often each was reached.

use std::cell::Cell;
use std::fmt;

use granian_proto::PeerError;

/// A bound of `Limits` that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Bytes of a head over HTTP/1.
    Http1BufferSize,
    /// Bytes of a decoded header section over HTTP/2.
    Http2MaxHeadersSize,
    /// Fields of a head or of trailers.
    MaxHeaders,
    /// Bytes of a request target.
    MaxTargetSize,
    /// Bytes of a request's body.
    MaxBodySize,
    /// Bytes of a body that waits for the call of a WSGI application.
    WsgiSpoolLimit,
    /// Bytes of all such bodies of a worker.
    WsgiSpoolTotal,
    /// Requests of a connection.
    MaxRequestsPerConnection,
    /// Connections of a worker.
    MaxConnections,
    /// Connections of a client's address.
    MaxConnectionsPerClient,
    /// Requests that wait to be called.
    MaxQueuedRequests,
    /// The time that a request waits to be called.
    QueueTimeout,
    /// The time that requests wait in a line that never empties.
    Overload,
    /// The time for a head, and for the first byte of a connection.
    Http1HeaderReadTimeout,
    /// The time between two requests of an HTTP/1 connection.
    KeepAliveTimeout,
    /// The time without input on an HTTP/2 connection without a request.
    Http2IdleTimeout,
    /// The time for the next piece of a body.
    RequestBodyTimeout,
    /// The rate of a body.
    RequestBodyMinRate,
    /// The time for a peer to take some of what waits for it.
    WriteTimeout,
    /// The time from a request's head to the end of its response.
    RequestTimeout,
    /// Threads that wait for clients.
    BlockingThreads,
    /// The time for a TLS session to be agreed on.
    SslHandshakeTimeout,
}

impl Limit {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 22] = [
        Self::Http1BufferSize,
        Self::Http2MaxHeadersSize,
        Self::MaxHeaders,
        Self::MaxTargetSize,
        Self::MaxBodySize,
        Self::WsgiSpoolLimit,
        Self::WsgiSpoolTotal,
        Self::MaxRequestsPerConnection,
        Self::MaxConnections,
        Self::MaxConnectionsPerClient,
        Self::MaxQueuedRequests,
        Self::QueueTimeout,
        Self::Overload,
        Self::Http1HeaderReadTimeout,
        Self::KeepAliveTimeout,
        Self::Http2IdleTimeout,
        Self::RequestBodyTimeout,
        Self::RequestBodyMinRate,
        Self::WriteTimeout,
        Self::RequestTimeout,
        Self::BlockingThreads,
        Self::SslHandshakeTimeout,
    ];

    /// The name of its option on the command line.
    pub fn option(self) -> &'static str {
        match self {
            Self::Http1BufferSize => "--http1-buffer-size",
            Self::Http2MaxHeadersSize => "--http2-max-headers-size",
            Self::MaxHeaders => "--max-headers",
            Self::MaxTargetSize => "--max-target-size",
            Self::MaxBodySize => "--max-body-size",
            Self::WsgiSpoolLimit => "--wsgi-spool-limit",
            Self::WsgiSpoolTotal => "--wsgi-spool-total",
            Self::MaxRequestsPerConnection => "--max-requests-per-connection",
            Self::MaxConnections => "--max-connections",
            Self::MaxConnectionsPerClient => "--max-connections-per-client",
            Self::MaxQueuedRequests => "--max-queued-requests",
            Self::QueueTimeout => "--queue-timeout",
            Self::Overload => "--overload",
            Self::Http1HeaderReadTimeout => "--http1-header-read-timeout",
            Self::KeepAliveTimeout => "--keep-alive-timeout",
            Self::Http2IdleTimeout => "--http2-idle-timeout",
            Self::RequestBodyTimeout => "--request-body-timeout",
            Self::RequestBodyMinRate => "--request-body-min-rate",
            Self::WriteTimeout => "--write-timeout",
            Self::RequestTimeout => "--request-timeout",
            Self::BlockingThreads => "--blocking-threads",
            Self::SslHandshakeTimeout => "--ssl-handshake-timeout",
        }
    }

    /// Its name in metrics: that of its option, with `_` for `-`.
    pub fn name(self) -> String {
        self.option().trim_start_matches('-').replace('-', "_")
    }

    /// The limit that an error of the peer's stands for, if it is not a broken rule. `is_body`: the request's head
    /// had come.
    pub(crate) fn of_error(error: PeerError, is_body: bool) -> Option<Self> {
        Some(match error {
            PeerError::HeadTooLarge => Self::Http1BufferSize,
            PeerError::SectionTooLarge => Self::Http2MaxHeadersSize,
            PeerError::TooManyFields => Self::MaxHeaders,
            PeerError::TargetTooLong => Self::MaxTargetSize,
            PeerError::BodyTooLarge => Self::MaxBodySize,
            PeerError::SpoolTooLarge => Self::WsgiSpoolLimit,
            PeerError::SpoolsTooLarge => Self::WsgiSpoolTotal,
            PeerError::TimedOut if is_body => Self::RequestBodyTimeout,
            PeerError::TimedOut => Self::Http1HeaderReadTimeout,
            PeerError::TooSlow => Self::RequestBodyMinRate,
            _ => return None,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.option())
    }
}

/// How often each limit of a service was reached.
#[derive(Default)]
pub struct LimitCounts([Cell<u64>; Limit::ALL.len()]);

impl LimitCounts {
    pub(crate) fn add(&self, limit: Limit) {
        let counter = &self.0[limit as usize];
        counter.set(counter.get() + 1);
    }

    /// Each limit and its number.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        Limit::ALL.into_iter().zip(self.0.iter().map(Cell::get))
    }

    /// How often `limit` was reached.
    pub fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_own_counter_and_name() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index, "{limit}");
        }
        let counts = LimitCounts::default();
        counts.add(Limit::SslHandshakeTimeout);
        counts.add(Limit::MaxBodySize);
        counts.add(Limit::MaxBodySize);
        let counted: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            counted,
            [(Limit::MaxBodySize, 2), (Limit::SslHandshakeTimeout, 1)]
        );
        assert_eq!(counts.of(Limit::MaxBodySize), 2);
        assert_eq!(Limit::MaxBodySize.name(), "max_body_size");
    }
}
