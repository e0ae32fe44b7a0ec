//! `Tunnel`: the bytes of one stream that an extended CONNECT has opened (RFC 8441, RFC 9220), as a
//! stream for the WebSocket protocol; and the handshake before it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use granian_proto::{PeerError, RequestHead, ws};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head;
use super::shared::Shared;
use super::stream_io::{ResetReason, StreamIo};
use crate::exchange::messages::{MessageQueue, Opening};
use crate::service::Service;
use crate::stream::socket::Stream;

/// True if peers are told that they may open WebSocket connections on streams.
pub(crate) fn is_enabled(service: &Service) -> bool {
    service.limits.websocket.enabled && service.app.speaks_websocket()
}

/// Checks a request for a WebSocket connection, and makes what it is to open.
///
/// # Errors
/// When the handshake has a fault. The answer is `refusal`, in place of the application's.
pub(crate) fn opening(service: &Service, head: &RequestHead) -> Result<Opening, PeerError> {
    let limits = &service.limits;
    let handshake = ws::Handshake::parse(head, limits.websocket.deflate)?;
    Ok(Opening {
        handshake: Arc::new(handshake),
        messages: Arc::new(MessageQueue::new(
            limits.websocket.queue_size,
            limits.window,
        )),
    })
}

/// The answer to a request with a fault. There is no Upgrade here, and so no 426.
///
/// > If the [version] doesn't match a version understood by the server, the server MUST [...] send
/// > an appropriate HTTP error code [...] and a |Sec-WebSocket-Version| header field
/// > — RFC 6455, 4.2.2 <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2>
pub(crate) fn refusal() -> Response<()> {
    let mut response = head::empty(StatusCode::BAD_REQUEST);
    let version = http::HeaderValue::from_static("13");
    response
        .headers_mut()
        .insert(http::header::SEC_WEBSOCKET_VERSION, version);
    response
}

/// See the module's documentation.
pub(super) struct Tunnel<S> {
    io: S,
    /// Received bytes that were not read.
    rest: Bytes,
    shared: Rc<Shared>,
}

impl<S: StreamIo> Tunnel<S> {
    pub(super) fn new(io: S, shared: Rc<Shared>) -> Self {
        Self {
            io,
            rest: Bytes::new(),
            shared,
        }
    }

    /// Ready when the peer has reset the stream or the connection is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_reset(cx)
    }
}

impl<S: StreamIo> AsyncRead for Tunnel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.io.poll_data(cx)) {
                Some(data) => self.rest = data?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        // The window opens as the bytes are taken.
        self.io.open_window(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: StreamIo> AsyncWrite for Tunnel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.shared.poll_unclogged(cx));
        let count = ready!(self.io.poll_capacity(cx, bytes.len()))?.min(bytes.len());
        let data = Bytes::copy_from_slice(&bytes[..count]);
        Poll::Ready(self.io.send_data(data, false).map(|()| count))
    }

    /// Does nothing: the connection flushes when its turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// > Orderly TCP-level closures are represented as END_STREAM flags — RFC 8441, 5
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.io.send_data(Bytes::new(), true))
    }
}

impl<S: StreamIo> Stream for Tunnel<S> {
    /// A reset is looked for with `poll_reset`.
    fn is_hung_up(&self) -> bool {
        false
    }

    fn is_broken(&self) -> bool {
        false
    }

    /// > RST exceptions are represented with the RST_STREAM frame with the CANCEL error code
    /// > — RFC 8441, 5
    fn reset_on_close(&mut self) {
        self.io.reset(ResetReason::Cancelled);
    }
}
