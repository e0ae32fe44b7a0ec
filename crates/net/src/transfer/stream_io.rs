//! `StreamIo`: the operations that a transfer needs of its stream, whichever protocol the stream belongs to.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use granian_proto::h2::Promise;
use http::{HeaderMap, Response};

/// Both directions of one stream of a multiplexed connection, behind the request's head.
///
/// Nothing that is sent blocks: the protocol queues it and writes when its connection's turn is over. Only `send_data`
/// needs room that the peer has granted, which `poll_capacity` tells.
///
/// Dropping a stream ends what has not ended: a direction that is complete stays so, and the other one is reset, as
/// "no error" where the response is complete.
pub(crate) trait StreamIo: Unpin + 'static {
    /// True if the request ended with its head: no body follows it.
    fn is_end_stream(&self) -> bool;

    /// A piece of the request's body; `None` at its end, behind which trailers are dropped.
    ///
    /// # Errors
    /// When the peer has reset the stream, or the connection has failed.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// Opens the peer's window for as many bytes more as were taken of the body.
    fn open_window(&mut self, taken: usize);

    /// Sends an informational head (1xx). Nothing happens where that has no place.
    fn send_informational(&mut self, head: Response<()>);

    /// Sends the response's head; the response is complete with it if `ends`.
    ///
    /// # Errors
    /// When the stream is closed, or a head was sent already.
    fn send_head(&mut self, head: Response<()>, ends: bool) -> io::Result<()>;

    /// How many of `wanted` bytes may be sent now, at least one. `cx` is woken when there are any.
    ///
    /// # Errors
    /// When the stream is closed.
    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>>;

    /// Gives back what `poll_capacity` has said, so that other streams of the connection have it.
    fn release_capacity(&mut self);

    /// Sends a piece of the body, no longer than `poll_capacity` has said; the response is complete with it if `ends`.
    ///
    /// # Errors
    /// When the stream is closed.
    fn send_data(&mut self, data: Bytes, ends: bool) -> io::Result<()>;

    /// Ends the response with trailers.
    ///
    /// # Errors
    /// When the stream is closed.
    fn send_trailers(&mut self, trailers: HeaderMap) -> io::Result<()>;

    /// Ready when the peer has reset the stream or the connection is gone.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Resets the stream.
    fn reset(&mut self, reason: ResetReason);

    /// True if the peer takes responses to requests that the server makes in its place, on this stream's behalf.
    fn accepts_push(&self) -> bool {
        false
    }

    /// Makes a further request in the client's place. True if it was promised: the promise leaves before anything else
    /// happens on the connection.
    fn push(&mut self, _promise: &Promise) -> bool {
        false
    }
}

/// Why a stream is reset by this side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResetReason {
    /// The response cannot be completed.
    Internal,
    /// Nobody waits for the rest of the exchange any more.
    Cancelled,
}
