//! `Respond`: the `h2` crate's two ways to begin a response, to a client's request and to a promised one.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{SendPushedResponse, SendResponse};
use h2::{Reason, SendStream};
use http::{Request, Response};

/// See the module's documentation.
pub(super) enum Respond {
    Asked(SendResponse<Bytes>),
    Promised(SendPushedResponse<Bytes>),
}

impl Respond {
    /// Sends the head; the response is complete with it if `ends`.
    ///
    /// # Errors
    /// When the stream is closed.
    pub(super) fn send(
        &mut self,
        head: Response<()>,
        ends: bool,
    ) -> Result<SendStream<Bytes>, h2::Error> {
        match self {
            Self::Asked(respond) => respond.send_response(head, ends),
            Self::Promised(respond) => respond.send_response(head, ends),
        }
    }

    /// Sends an informational head. A promised request gets none: the codec has no call for it.
    pub(super) fn inform(&mut self, head: Response<()>) {
        if let Self::Asked(respond) = self {
            // Fails only when the stream is closed, which `poll_reset` tells.
            let _ = respond.send_informational(head);
        }
    }

    /// Promises `request`, and gives the beginning of its response. `None` if the peer takes no promise.
    ///
    /// > PUSH_PROMISE frames MUST only be sent on a peer-initiated stream
    /// > — RFC 9113, 6.6 <https://www.rfc-editor.org/rfc/rfc9113#section-6.6>
    pub(super) fn promise(&mut self, request: Request<()>) -> Option<Self> {
        match self {
            Self::Asked(respond) => respond.push_request(request).ok().map(Self::Promised),
            Self::Promised(_) => None,
        }
    }

    /// Ready when the peer has reset the stream or the connection is gone. Before the head only.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Asked(respond) => respond.poll_reset(cx),
            Self::Promised(respond) => respond.poll_reset(cx),
        }
        .map(|_| ())
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Asked(respond) => respond.send_reset(reason),
            Self::Promised(respond) => respond.send_reset(reason),
        }
    }
}
