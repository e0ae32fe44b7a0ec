//! `Tunnel`: the bytes of one stream that an extended CONNECT has opened (RFC 8441), as a stream
//! for the WebSocket protocol; and what opens it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use granian_proto::{PeerError, RequestHead, ws};
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head;
use super::shared::Shared;
use crate::exchange::messages::{Opening, WebSocket};
use crate::service::Service;
use crate::stream::socket::Stream;

/// True if peers are told that they may open WebSocket connections on streams.
pub(super) fn is_enabled(service: &Service) -> bool {
    service.limits.websocket.enabled && service.app.speaks_websocket()
}

/// > The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a
/// > value of "websocket" to initiate a WebSocket connection on an HTTP/2 stream.
/// > — RFC 8441, 5 <https://www.rfc-editor.org/rfc/rfc8441#section-5>
pub(super) fn is_asked_for(parts: &Parts) -> bool {
    parts.method == Method::CONNECT
        && parts
            .extensions
            .get::<h2::ext::Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// What a request that asks for it opens.
///
/// # Errors
/// What is to be answered in place of the application.
pub(super) fn opening(service: &Service, head: &RequestHead) -> Result<Opening, PeerError> {
    let limits = &service.limits;
    let handshake = ws::Handshake::parse(head, limits.websocket.deflate)?;
    Ok(Opening {
        handshake: Arc::new(handshake),
        socket: Arc::new(WebSocket::new(limits.websocket.queue, limits.window)),
    })
}

/// The answer to a request with a fault. There is no Upgrade here, and so no 426.
///
/// > If the [version] doesn't match a version understood by the server, the server MUST [...] send
/// > an appropriate HTTP error code [...] and a |Sec-WebSocket-Version| header field
/// > — RFC 6455, 4.2.2 <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2>
pub(super) fn refusal() -> Response<()> {
    let mut response = head::empty(StatusCode::BAD_REQUEST);
    let version = http::HeaderValue::from_static("13");
    response
        .headers_mut()
        .insert(http::header::SEC_WEBSOCKET_VERSION, version);
    response
}

/// See the module's documentation.
pub(super) struct Tunnel {
    outgoing: SendStream<Bytes>,
    incoming: RecvStream,
    /// What has come and was not read.
    rest: Bytes,
    shared: Rc<Shared>,
}

impl Tunnel {
    pub(super) fn new(
        outgoing: SendStream<Bytes>,
        incoming: RecvStream,
        shared: Rc<Shared>,
    ) -> Self {
        Self {
            outgoing,
            incoming,
            rest: Bytes::new(),
            shared,
        }
    }

    /// Ready when the peer has reset the stream or the connection is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.outgoing.poll_reset(cx).map(|_| ())
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.outgoing.reserve_capacity(wanted);
        loop {
            let capacity = self.outgoing.capacity();
            if capacity > 0 {
                return Poll::Ready(Ok(capacity));
            }
            match ready!(self.outgoing.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.incoming.poll_data(cx)) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        // The window opens as the bytes are taken. That fails only for a stream that is closed.
        let _ = self.incoming.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.shared.waits_for_stream(cx) {
            return Poll::Pending;
        }
        let count = ready!(self.poll_capacity(cx, bytes.len()))?.min(bytes.len());
        let data = Bytes::copy_from_slice(&bytes[..count]);
        let sent = self.outgoing.send_data(data, false);
        Poll::Ready(sent.map(|()| count).map_err(broken))
    }

    /// Nothing: the HTTP/2 connection flushes when its turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// > Orderly TCP-level closures are represented as END_STREAM flags — RFC 8441, 5
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.outgoing.send_data(Bytes::new(), true).map_err(broken))
    }
}

impl Stream for Tunnel {
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
        self.outgoing.send_reset(Reason::CANCEL);
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
