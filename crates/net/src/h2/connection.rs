//! `Connection`: drives the codec and the transfers of one HTTP/2 connection, and decides when it
//! has to end.

mod deadlines;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream as _};
use granian_proto::Version;
use h2::server::{Builder, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use tokio::io::AsyncWrite;

use super::Opened;
use super::pings::{Pings, Verdict};
use super::pipe::Pipe;
use super::push::Pushes;
use super::stream::Http2Stream;
use crate::bounds::{LINGER, STEPS_PER_TURN};
use crate::exchange::app::Peer;
use crate::runtime::reactor::TaskHandle;
use crate::service::Service;
use crate::stream::socket::Stream;
use crate::stream::stall::Stall;
use crate::transfer::{CoalescingWaker, Shared, Transfer, head, tunnel};

/// Serves HTTP/2 on a stream until it is closed.
pub(crate) async fn serve<S: Stream>(
    opened: Opened<S>,
    peer: Arc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
) {
    let mut connection = Connection::new(opened, Shared::new(peer, service, handle));
    poll_fn(|cx| connection.poll(cx)).await;
}

struct Connection<S> {
    pipe: Pipe<S>,
    phase: Phase<S>,
    transfers: FuturesUnordered<Transfer<Http2Stream>>,
    pushes: Rc<Pushes>,
    pings: Option<Pings>,
    /// What the codec and the transfers wake the connection through, from its first poll on.
    coalescing: Option<(Arc<CoalescingWaker>, Waker)>,
    since: Instant,
    has_served: bool,
    stall: Stall,
    shared: Rc<Shared>,
}

enum Phase<S> {
    Preface(Handshake<Pipe<S>, Bytes>),
    Serving(h2::server::Connection<Pipe<S>, Bytes>),
    /// No new requests; the codec closes when those in flight are done.
    Draining(h2::server::Connection<Pipe<S>, Bytes>),
    /// The sending side is closed; what the peer still sends is thrown away, so that closing does
    /// not reset what it has not read yet.
    Lingering(Instant),
    Closed,
}

impl<S: Stream> Connection<S> {
    fn new(opened: Opened<S>, shared: Rc<Shared>) -> Self {
        let pipe = Pipe::new(opened, shared.handle.clone());
        Self {
            phase: Phase::Preface(builder(&shared.service).handshake(pipe.share())),
            pipe,
            transfers: FuturesUnordered::new(),
            pushes: Pushes::new(Rc::clone(&shared)),
            pings: None,
            coalescing: None,
            since: shared.now(),
            has_served: false,
            stall: Stall::default(),
            shared,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (coalescing, waker) = self.coalescing.take().unwrap_or_else(|| {
            let coalescing = CoalescingWaker::new(cx.waker().clone());
            let waker = Waker::from(Arc::clone(&coalescing));
            (coalescing, waker)
        });
        coalescing.begin();
        self.pipe.begin_turn();
        self.drive(&mut Context::from_waker(&waker), &coalescing);
        coalescing.end();
        self.coalescing = Some((coalescing, waker));
        if matches!(self.phase, Phase::Closed) {
            return Poll::Ready(());
        }
        if self.pipe.is_starved() {
            cx.waker().wake_by_ref();
        }
        self.set_deadline();
        Poll::Pending
    }

    fn drive(&mut self, cx: &mut Context<'_>, coalescing: &CoalescingWaker) {
        self.handle_stage();
        self.handle_deadlines();
        for _ in 0..STEPS_PER_TURN {
            coalescing.take_note();
            self.poll_protocol(cx);
            // Behind the reading: this thread may have been busy past the deadline.
            if self.handle_input_deadline() {
                self.poll_protocol(cx);
            }
            self.poll_pings(cx);
            while let Poll::Ready(Some(())) = Pin::new(&mut self.transfers).poll_next(cx) {}
            if self.shared.is_held() {
                self.push(cx);
            }
            if self.shared.has_pulled.take() {
                self.flush(cx);
            }
            if !coalescing.take_note() {
                break;
            }
            // Whoever was woken is polled in the next step.
            Waker::wake_by_ref(cx.waker());
        }
        self.flush(cx);
        let timeout = self.shared.service.limits.write_timeout;
        self.stall.follow(self.pipe.blocked_since(), timeout);
    }

    /// Lets the codec read and write, and starts the requests that have come.
    fn poll_protocol(&mut self, cx: &mut Context<'_>) {
        loop {
            match &mut self.phase {
                Phase::Preface(handshake) => match Pin::new(handshake).poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(codec)) => self.open(codec),
                    Poll::Ready(Err(_)) => return self.end(cx),
                },
                Phase::Serving(codec) | Phase::Draining(codec) => {
                    if self.pipe.take_flood().is_some() {
                        codec.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                    match codec.poll_accept(cx) {
                        Poll::Pending => return,
                        Poll::Ready(Some(Ok((request, respond)))) => {
                            self.start(cx, request, respond)
                        }
                        Poll::Ready(Some(Err(_)) | None) => return self.end(cx),
                    }
                }
                Phase::Lingering(_) => match self.pipe.poll_discard(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => self.phase = Phase::Closed,
                },
                Phase::Closed => return,
            }
        }
    }

    fn open(&mut self, mut codec: h2::server::Connection<Pipe<S>, Bytes>) {
        let options = &self.shared.service.limits.http2;
        self.pings = codec
            .ping_pong()
            .and_then(|pings| Pings::new(pings, options));
        self.phase = Phase::Serving(codec);
        self.handle_stage();
    }

    fn start(
        &mut self,
        cx: &mut Context<'_>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        self.has_served = true;
        if respond.poll_reset(cx).is_ready() {
            return; // taken back already: nobody waits for the application
        }
        let (parts, body) = request.into_parts();
        self.pushes.set_limit(self.push_limit());
        if tunnel::is_enabled(&self.shared.service) && asks_for_websocket(&parts) {
            return self.start_websocket(parts, body, respond);
        }
        if parts.method == Method::CONNECT {
            // No proxy (RFC 9110, 9.3.6), nor any protocol but WebSocket (RFC 9220, 3). It fails
            // only on a closed stream.
            let _ = respond.send_response(head::empty(StatusCode::NOT_IMPLEMENTED), true);
            return;
        }
        match head::request(Version::Http2, &parts) {
            Ok(head) => {
                let mut io = Http2Stream::asked(body, respond);
                io.enable_push(&head, &self.pushes);
                let shared = Rc::clone(&self.shared);
                self.transfers.push(Transfer::new(shared, head, None, io));
            }
            Err(head::Malformed) => respond.send_reset(Reason::PROTOCOL_ERROR),
        }
    }

    /// How many streams of the server's own the peer takes at once.
    fn push_limit(&self) -> usize {
        match &self.phase {
            Phase::Serving(codec) if self.pipe.accepts_push() => {
                codec.max_concurrent_send_streams()
            }
            _ => 0,
        }
    }

    /// The application sees the same request as over HTTP/1.1.
    fn start_websocket(
        &mut self,
        mut parts: Parts,
        body: RecvStream,
        mut respond: SendResponse<Bytes>,
    ) {
        parts.method = Method::GET;
        let Ok(head) = head::request(Version::Http2, &parts) else {
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        };
        let shared = Rc::clone(&self.shared);
        match tunnel::opening(&shared.service, &head) {
            Ok(opening) => {
                let io = Http2Stream::asked(body, respond);
                let transfer = Transfer::new(shared, head, Some(opening), io);
                self.transfers.push(transfer);
            }
            Err(error) => {
                shared.service.app.journal().refused(&shared.peer, error);
                // It fails only on a closed stream.
                let _ = respond.send_response(tunnel::refusal(), true);
            }
        }
    }

    /// Lets promises leave, and starts the requests that were promised.
    fn push(&mut self, cx: &mut Context<'_>) {
        self.pipe.begin_writing();
        self.poll_protocol(cx);
        self.pipe.end_writing();
        for promised in self.pushes.take() {
            if let Phase::Serving(_) | Phase::Draining(_) = self.phase {
                let (head, io) = Http2Stream::promised(promised);
                let shared = Rc::clone(&self.shared);
                self.transfers.push(Transfer::new(shared, head, None, io));
            }
        }
        cx.waker().wake_by_ref(); // what has waited for it goes on
    }

    fn poll_pings(&mut self, cx: &mut Context<'_>) {
        let (Some(pings), Phase::Serving(codec) | Phase::Draining(codec)) =
            (&mut self.pings, &mut self.phase)
        else {
            return;
        };
        let now = self.shared.now();
        pings.note_data(now, self.pipe.take_received());
        match pings.poll(cx, now, self.pipe.last_input()) {
            Verdict::Nothing => {}
            Verdict::Widen(size) => {
                let least = self.shared.service.limits.http2.connection_window;
                codec.set_target_window_size(size.max(least));
                // Fails while the peer has not acknowledged the size before; there is a next time.
                let _ = codec.set_initial_window_size(size);
            }
            Verdict::Dead => {
                self.pipe.reset_on_close();
                self.close();
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Closed => return,
            // As often as it takes: the last words may have found no room.
            Phase::Lingering(_) => return self.shut_down(cx),
            _ => {}
        }
        if let Poll::Ready(Err(_)) = self.pipe.poll_flush(cx) {
            return self.close();
        }
        self.shared.set_clogged(self.pipe.is_clogged());
        if self.transfers.is_empty() {
            self.pipe.release();
        }
    }

    /// The codec is done: GOAWAY is written and everything that has been in flight is over.
    fn end(&mut self, cx: &mut Context<'_>) {
        self.transfers.clear();
        self.shut_down(cx);
        self.phase = Phase::Lingering(self.shared.now() + LINGER);
    }

    fn shut_down(&mut self, cx: &mut Context<'_>) {
        // The stream says at its next read what went wrong, if anything did.
        let _ = Pin::new(&mut self.pipe.share()).poll_shutdown(cx);
    }

    fn close(&mut self) {
        self.transfers.clear();
        self.phase = Phase::Closed;
    }
}

/// > The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a
/// > value of "websocket" to initiate a WebSocket connection on an HTTP/2 stream.
/// > — RFC 8441, 5 <https://www.rfc-editor.org/rfc/rfc8441#section-5>
fn asks_for_websocket(parts: &Parts) -> bool {
    parts.method == Method::CONNECT
        && parts
            .extensions
            .get::<h2::ext::Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

fn builder(service: &Service) -> Builder {
    let options = &service.limits.http2;
    let mut builder = Builder::new();
    builder
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_frame_size(options.max_frame_size)
        .max_header_list_size(options.max_header_list_size)
        // Requests that are taken back before they were looked at, as by a browser's tab that is
        // closed. Floods of them are seen by the pipe.
        .max_pending_accept_reset_streams(options.max_concurrent_streams as usize)
        .max_send_buffer_size(options.max_send_buffer_size);
    if tunnel::is_enabled(service) {
        builder.enable_connect_protocol();
    }
    builder
}
