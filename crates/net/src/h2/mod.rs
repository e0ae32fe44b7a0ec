//! HTTP/2 over any stream: the `h2` crate's codec and flow control, driven as one task of the
//! reactor. Every stream is an exchange: a `Transfer` among those of its connection.
//!
//! `connection` drives, `pipe` is the byte stream under the codec, `stream` and `respond` are one stream for its
//! transfer, `pings` keeps alive and measures, `push` makes requests in the client's place.

mod connection;
mod pings;
mod pipe;
mod push;
mod respond;
mod stream;

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
