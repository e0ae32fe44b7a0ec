//! HTTP/2 over any stream: the `h2` crate's codec and flow control, driven as one task of the
//! reactor. Every stream is an exchange: a `Transfer` among those of its connection.
//!
//! `connection` drives, `pipe` is the byte stream under the codec, `appetite` bounds its reads, `stream` and `respond`
//! are one stream for its transfer, `pings` keeps alive and measures, `push` makes requests in the client's place.

mod appetite;
mod connection;
mod pings;
mod pipe;
mod push;
mod respond;
mod stream;

use bytes::BytesMut;

pub(crate) use self::connection::serve;

/// A byte stream on which HTTP/2 begins.
pub(crate) struct Opened<S> {
    pub(crate) io: S,
    /// Bytes read from `io` before; the preface comes first.
    pub(crate) input: BytesMut,
    /// The upgrade that turned an HTTP/1.1 connection into this one, if one did.
    pub(crate) upgrade: Option<Box<Upgrade>>,
}

/// The rest of an upgrade from HTTP/1.1.
pub(crate) struct Upgrade {
    /// The 101 response, which has not left yet.
    pub(crate) response: Vec<u8>,
    /// The request that asked for the upgrade, as frames.
    pub(crate) request: Vec<u8>,
}

#[cfg(test)]
mod tests;
