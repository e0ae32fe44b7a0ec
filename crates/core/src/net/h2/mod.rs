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

use std::time::Duration;

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

/// What a worker's HTTP/2 connections are opened with.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// The windows follow what the path to the peer holds; the sizes below are the smallest.
    pub(crate) adaptive_window: bool,
    pub(crate) connection_window: u32,
    pub(crate) stream_window: u32,
    /// After so long without input the peer is asked whether it is there.
    pub(crate) keep_alive_interval: Option<Duration>,
    /// How long it has for the answer.
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) max_frame_size: u32,
    /// Bytes of a decoded header section, counted as RFC 9113, 6.5.2 has it.
    pub(crate) max_header_list_size: u32,
    /// Bytes of one stream that the codec holds.
    pub(crate) max_send_buffer_size: usize,
    /// How long a connection may go without a first request, and a header section take.
    pub(crate) header_timeout: Duration,
}
