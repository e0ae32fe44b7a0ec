//! HTTP/2 over any stream: the `h2` crate's codec and flow control, driven as one task of the
//! reactor. Every stream is an exchange, and a future among those of its connection.
//!
//! `pipe` is the stream under the codec, `transfer` one exchange (`incoming` its request's body,
//! `outgoing` its response), `tunnel` a stream that became a WebSocket connection, `head` the
//! translation of heads, `pings` keep-alive and measurement, `push` requests that the server makes itself, `shared` and `bell` what these tell
//! each other.

mod bell;
mod connection;
mod head;
mod incoming;
mod outgoing;
mod pings;
mod pipe;
mod push;
mod respond;
mod shared;
mod transfer;
mod tunnel;

use bytes::BytesMut;

pub(crate) use self::connection::serve;

/// A stream that HTTP/2 begins on.
pub(crate) struct Opened<S> {
    pub(crate) io: S,
    /// What was read of it before, first of all the preface.
    pub(crate) input: BytesMut,
    /// The connection was HTTP/1.1 before.
    pub(crate) upgrade: Option<Box<Upgrade>>,
}

/// What an upgrade from HTTP/1.1 has left to do.
pub(crate) struct Upgrade {
    /// The response that announces it, which has not left.
    pub(crate) response: Vec<u8>,
    /// The request that asked for it, as frames.
    pub(crate) request: Vec<u8>,
}
