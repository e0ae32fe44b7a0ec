//! `CloseCause`: the cause of a connection's end. Every end has one; the first that applies stays.

use std::cell::Cell;
use std::fmt;
use std::io;

use granian_proto::PeerError;

pub use crate::limit_counts::{Limit, LimitCounts};

/// The cause of a connection's end. A change of protocol on the same stream is no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseCause {
    /// The peer ended its side while nothing was due to it.
    PeerClosed,
    /// The connection was reset, or a read or a write failed.
    PeerLost,
    /// The last response has left: the peer or the application wanted no further request.
    Answered,
    /// Nothing arrived for too long: no request, or no WebSocket message.
    IdleTimeout,
    /// A request's head, an HTTP/2 header section or a PROXY header was not complete in time.
    HeadTimeout,
    /// A request's body stopped for too long.
    BodyTimeout,
    /// The peer took none of the bytes that waited for it for too long.
    WriteTimeout,
    /// A ping (WebSocket, HTTP/2) brought no answer, or a WebSocket Close none.
    PingTimeout,
    /// The peer broke a rule of HTTP/1 or asked for an unknown feature. It got an answer if
    /// possible.
    Refused(PeerError),
    /// The peer broke a rule of HTTP/2 or of the WebSocket protocol.
    ProtocolError,
    /// The peer sent HTTP/2 frames that cost more than they bring, faster than any client needs.
    Flood,
    /// The two sides agreed on no TLS session, or not in time.
    HandshakeFailed,
    /// `--proxy-protocol`: the peer is no trusted proxy, or its connection begins with no proper PROXY header.
    ProxyRefused,
    /// The application's response was cut off: it broke its promised length or order, or gave up.
    Aborted,
    /// A request's body that was to be spooled found no room on the disk.
    SpoolFailed,
    /// A WebSocket connection's closing handshake is complete.
    WebSocketClosed,
    /// The worker stops, and nothing was under way.
    Drained,
    /// The worker stops, and a request under way was cut.
    Cancelled,
    /// A request took too long, after part of its response had been sent.
    RequestTimeout,
    /// It was idle, and made room for another one; or the client that a PROXY header told has as many as it may have; or a
    /// thread of the application waited for its client while others needed one.
    CrowdedOut,
}

impl CloseCause {
    /// The names of all causes, in the order of [`CloseCause::index`]; all errors of a peer's are
    /// `refused`.
    pub const NAMES: [&str; 20] = [
        "peer_closed",
        "peer_lost",
        "answered",
        "idle_timeout",
        "head_timeout",
        "body_timeout",
        "write_timeout",
        "ping_timeout",
        "refused",
        "protocol_error",
        "flood",
        "handshake_failed",
        "proxy_refused",
        "aborted",
        "spool_failed",
        "websocket_closed",
        "drained",
        "cancelled",
        "request_timeout",
        "crowded_out",
    ];

    /// The place of its name in [`CloseCause::NAMES`], and of its counter in [`CloseCounts`].
    pub fn index(self) -> usize {
        match self {
            Self::PeerClosed => 0,
            Self::PeerLost => 1,
            Self::Answered => 2,
            Self::IdleTimeout => 3,
            Self::HeadTimeout => 4,
            Self::BodyTimeout => 5,
            Self::WriteTimeout => 6,
            Self::PingTimeout => 7,
            Self::Refused(_) => 8,
            Self::ProtocolError => 9,
            Self::Flood => 10,
            Self::HandshakeFailed => 11,
            Self::ProxyRefused => 12,
            Self::Aborted => 13,
            Self::SpoolFailed => 14,
            Self::WebSocketClosed => 15,
            Self::Drained => 16,
            Self::Cancelled => 17,
            Self::RequestTimeout => 18,
            Self::CrowdedOut => 19,
        }
    }

    /// The cause of an end by a failed write. The peer is lost, unless a file became shorter than its response says.
    pub(crate) fn of_write(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Aborted,
            _ => Self::PeerLost,
        }
    }

    /// Its name, for logs and metrics.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{} ({error})", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

/// The numbers of ended connections of a service, by cause.
#[derive(Default)]
pub struct CloseCounts([Cell<u64>; CloseCause::NAMES.len()]);

impl CloseCounts {
    pub(crate) fn add(&self, cause: CloseCause) {
        let counter = &self.0[cause.index()];
        counter.set(counter.get() + 1);
    }

    /// Each cause's name and number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(Cell::get);
        CloseCause::NAMES.into_iter().zip(counts)
    }

    /// The number of connections that ended by `cause`. All errors of peers are one cause.
    pub fn of(&self, cause: CloseCause) -> u64 {
        self.0[cause.index()].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_under_the_name_of_their_cause() {
        let counts = CloseCounts::default();
        counts.add(CloseCause::Refused(PeerError::Host));
        counts.add(CloseCause::Refused(PeerError::Field));
        counts.add(CloseCause::Cancelled);
        let counted: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("refused", 2), ("cancelled", 1)]);
        assert_eq!(counts.of(CloseCause::Cancelled), 1);
        assert_eq!(CloseCause::HandshakeFailed.name(), "handshake_failed");
    }
}
