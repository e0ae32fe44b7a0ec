//! How requests start: the client's own, those for a WebSocket connection, and promised ones.

use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;
use granian_proto::{PeerError, RequestHead, Version};
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, StatusCode};

use super::{Connection, Course, Phase};
use crate::close::{CloseCause, Limit};
use crate::h2::stream::Http2Stream;
use crate::limits::Limits;
use crate::stream::socket::Stream;
use crate::transfer::head::Malformed;
use crate::transfer::{Shared, Transfer, head, tunnel};

impl<S: Stream> Connection<S> {
    pub(super) fn start(
        &mut self,
        cx: &mut Context<'_>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        self.count_request();
        if let Phase::Open(_, Course::Draining { is_idle, .. }) = &mut self.phase {
            *is_idle = false;
        }
        if respond.poll_reset(cx).is_ready() {
            return; // the client has taken the request back already
        }
        let (parts, body) = request.into_parts();
        if let Some(error) = self.excess(&parts) {
            return self.refuse(&parts, respond, error);
        }
        self.pushes.set_limit(self.push_limit());
        if tunnel::is_enabled(&self.shared.service) && asks_for_websocket(&parts) {
            return self.start_websocket(parts, body, respond);
        }
        if parts.method == Method::CONNECT {
            // The server is no proxy (RFC 9110, 9.3.6), and speaks no protocol but WebSocket on a
            // stream (RFC 9220, 3). Sending fails only on a closed stream.
            let status = StatusCode::NOT_IMPLEMENTED;
            let _ = respond.send_response(head::empty(status), true);
            let head = head::connect(Version::Http2, &parts);
            return self.note_refusal(Some(&head), status, PeerError::Method);
        }
        match head::request(Version::Http2, &parts) {
            Ok(head) => {
                let Ok(loan) = self.shared.admit_head(head.size()) else {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                };
                let mut io = Http2Stream::asked(body, respond);
                io.enable_push(&head, &self.pushes);
                let shared = Rc::clone(&self.shared);
                let transfer = Transfer::new(shared, head, None, loan, io);
                self.transfers.push(transfer);
            }
            Err(malformed) => self.refuse_malformed(&malformed, respond),
        }
    }

    /// With the last request that a connection may carry the peer is told to open another one. Those that are on
    /// their way by then are served too.
    fn count_request(&mut self) {
        self.requests += 1;
        let Shared { service, peer, .. } = &*self.shared;
        let most = service.limits.connections.max_requests;
        if most.is_some_and(|most| self.requests >= most)
            && let Phase::Open(codec, course @ Course::Serving) = &mut self.phase
        {
            codec.graceful_shutdown();
            *course = Course::Draining {
                is_idle: false,
                cause: CloseCause::Answered,
            };
            service.note_limit(peer, Limit::MaxRequestsPerConnection);
        }
    }

    /// The limit of a request's head that this one exceeds, as the error of its peer.
    fn excess(&self, parts: &Parts) -> Option<PeerError> {
        let Limits { request, http2, .. } = &self.shared.service.limits;
        let target = parts.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > request.max_target_size) {
            return Some(PeerError::TargetTooLong);
        }
        if section_size(parts) > http2.max_headers_size as usize {
            return Some(PeerError::SectionTooLarge);
        }
        (parts.headers.len() > request.max_headers).then_some(PeerError::TooManyFields)
    }

    /// Answers a request that exceeds a limit of heads with a status.
    fn refuse(&self, parts: &Parts, mut respond: SendResponse<Bytes>, error: PeerError) {
        let Shared { service, peer, .. } = &*self.shared;
        if let Some(limit) = Limit::of_error(error, false) {
            service.note_limit(peer, limit);
        }
        let status = StatusCode::from_u16(error.status()).unwrap_or_default();
        // Sending fails only on a closed stream.
        let _ = respond.send_response(head::empty(status), true);
        let head = head::request(Version::Http2, parts).ok();
        self.note_refusal(head.as_deref(), status, error);
    }

    fn refuse_malformed(&self, malformed: &Malformed, mut respond: SendResponse<Bytes>) {
        match malformed {
            Malformed::Message => respond.send_reset(Reason::PROTOCOL_ERROR),
            Malformed::Target => {
                let status = StatusCode::BAD_REQUEST;
                // Sending fails only on a closed stream.
                let _ = respond.send_response(head::empty(status), true);
                self.note_refusal(None, status, PeerError::Target);
            }
        }
    }

    /// How many streams of the server's own the peer takes at once.
    fn push_limit(&self) -> usize {
        match &self.phase {
            Phase::Open(codec, Course::Serving) if self.pipe.accepts_push() => {
                codec.max_concurrent_send_streams()
            }
            _ => 0,
        }
    }

    /// Starts a request for a WebSocket connection. The application sees it as a GET, as over HTTP/1.1.
    fn start_websocket(
        &mut self,
        mut parts: Parts,
        body: RecvStream,
        mut respond: SendResponse<Bytes>,
    ) {
        parts.method = Method::GET;
        let head = match head::request(Version::Http2, &parts) {
            Ok(head) => head,
            Err(malformed) => return self.refuse_malformed(&malformed, respond),
        };
        let shared = Rc::clone(&self.shared);
        match tunnel::opening(&shared.service, &head) {
            Ok(opening) => {
                let Ok(loan) = self.shared.admit_head(head.size()) else {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                };
                let io = Http2Stream::asked(body, respond);
                let transfer = Transfer::new(shared, head, Some(opening), loan, io);
                self.transfers.push(transfer);
            }
            Err(error) => {
                // Sending fails only on a closed stream.
                let refusal = tunnel::refusal();
                let status = refusal.status();
                let _ = respond.send_response(refusal, true);
                self.note_refusal(Some(&head), status, error);
            }
        }
    }

    fn note_refusal(&self, head: Option<&RequestHead>, status: StatusCode, error: PeerError) {
        let Shared { service, peer, .. } = &*self.shared;
        let answer = (status.as_u16(), error);
        service.note_refusal(peer, head, Version::Http2, answer);
    }

    /// Lets promises leave, and starts the requests that were promised.
    pub(super) fn push(&mut self, cx: &mut Context<'_>) {
        self.pipe.begin_writing();
        self.poll_protocol(cx);
        self.pipe.end_writing();
        for promised in self.pushes.take() {
            if let Phase::Open(..) = self.phase {
                let (head, io) = Http2Stream::promised(promised);
                let shared = Rc::clone(&self.shared);
                let transfer = Transfer::new(shared, head, None, None, io);
                self.transfers.push(transfer);
            }
        }
        cx.waker().wake_by_ref(); // the transfers that were held go on
    }
}

/// > The value is based on the uncompressed size of header fields, including the length of the name and value in units
/// > of octets plus an overhead of 32 octets for each header field.
/// > — RFC 9113, 6.5.2 <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>
fn section_size(parts: &Parts) -> usize {
    let size = |name: &str, value: usize| name.len() + value + 32;
    let pseudo = |name, value: Option<&str>| value.map_or(0, |value| size(name, value.len()));
    let uri = &parts.uri;
    let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
    let fields = parts.headers.iter();
    pseudo(":method", Some(parts.method.as_str()))
        + pseudo(":scheme", uri.scheme_str())
        + pseudo(":authority", uri.authority().map(Authority::as_str))
        + pseudo(":path", uri.path_and_query().map(PathAndQuery::as_str))
        + pseudo(":protocol", protocol)
        + fields
            .map(|(name, value)| size(name.as_str(), value.len()))
            .sum::<usize>()
}

/// > The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a
/// > value of "websocket" to initiate a WebSocket connection on an HTTP/2 stream.
/// > — RFC 8441, 5 <https://www.rfc-editor.org/rfc/rfc8441#section-5>
fn asks_for_websocket(parts: &Parts) -> bool {
    parts.method == Method::CONNECT
        && parts
            .extensions
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}
