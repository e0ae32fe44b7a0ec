//! `Connection`: drives the codec and the transfers of one HTTP/2 connection, and decides when it
//! has to end.

mod deadlines;

use std::future::poll_fn;
use std::io;
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
use crate::close::CloseCause;
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
    let shared = Shared::new(peer, service, handle);
    let mut connection = Connection::new(opened, Rc::clone(&shared));
    let cause = poll_fn(|cx| connection.poll(cx)).await;
    drop(connection);
    shared.service.note_closed(&shared.peer, cause);
}

struct Connection<S> {
    pipe: Pipe<S>,
    phase: Phase<S>,
    transfers: FuturesUnordered<Transfer<Http2Stream>>,
    pushes: Rc<Pushes>,
    pings: Option<Pings>,
    /// What the codec and the transfers wake the connection through, from its first poll on.
    coalescing: Option<(Arc<CoalescingWaker>, Waker)>,
    opened_at: Instant,
    /// A request has come.
    has_served: bool,
    stall: Stall,
    shared: Rc<Shared>,
}

enum Phase<S> {
    Preface(Handshake<Pipe<S>, Bytes>),
    Open(h2::server::Connection<Pipe<S>, Bytes>, Course),
    /// The sending side is closed; what the peer still sends is thrown away until then, so that closing
    /// does not reset what it has not read yet.
    Lingering(Instant, CloseCause),
    Closed(CloseCause),
}

/// Where an open connection is going.
#[derive(Clone, Copy)]
enum Course {
    Serving,
    /// No new requests; the codec closes when those in flight are done.
    Draining,
    /// The codec closes as soon as its GOAWAY is written: all streams are reset.
    Closing(CloseCause),
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
            opened_at: shared.now(),
            has_served: false,
            stall: Stall::default(),
            shared,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
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
        if let Phase::Closed(cause) = self.phase {
            return Poll::Ready(cause);
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
                    Poll::Ready(Err(error)) => {
                        let is_unused = error.get_io().is_some_and(is_end);
                        let cause = match is_unused {
                            true => CloseCause::PeerClosed,
                            false => cause_of(&error),
                        };
                        return self.end(cx, cause);
                    }
                },
                Phase::Open(codec, course) => {
                    if self.pipe.take_flood().is_some() {
                        codec.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        *course = Course::Closing(CloseCause::Flood);
                    }
                    match codec.poll_accept(cx) {
                        Poll::Pending => return,
                        Poll::Ready(Some(Ok((request, respond)))) => {
                            self.start(cx, request, respond)
                        }
                        Poll::Ready(Some(Err(error))) => return self.end(cx, cause_of(&error)),
                        Poll::Ready(None) => {
                            let cause = match course {
                                Course::Serving if self.transfers.is_empty() => {
                                    CloseCause::PeerClosed
                                }
                                Course::Serving => CloseCause::PeerLost,
                                // While it closes, the cause of that stays.
                                Course::Draining | Course::Closing(_) => CloseCause::Drained,
                            };
                            return self.end(cx, cause);
                        }
                    }
                }
                Phase::Lingering(_, cause) => match self.pipe.poll_discard(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => self.phase = Phase::Closed(*cause),
                },
                Phase::Closed(_) => return,
            }
        }
    }

    fn open(&mut self, mut codec: h2::server::Connection<Pipe<S>, Bytes>) {
        let options = &self.shared.service.limits.http2;
        self.pings = codec
            .ping_pong()
            .and_then(|pings| Pings::new(pings, options));
        self.phase = Phase::Open(codec, Course::Serving);
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
            Phase::Open(codec, Course::Serving) if self.pipe.accepts_push() => {
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
            if let Phase::Open(..) = self.phase {
                let (head, io) = Http2Stream::promised(promised);
                let shared = Rc::clone(&self.shared);
                self.transfers.push(Transfer::new(shared, head, None, io));
            }
        }
        cx.waker().wake_by_ref(); // what has waited for it goes on
    }

    fn poll_pings(&mut self, cx: &mut Context<'_>) {
        let (Some(pings), Phase::Open(codec, _)) = (&mut self.pings, &mut self.phase) else {
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
                self.close(CloseCause::PingTimeout);
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Closed(_) => return,
            // As often as it takes: the last words may have found no room.
            Phase::Lingering(..) => return self.shut_down(cx),
            Phase::Preface(_) | Phase::Open(..) => {}
        }
        if let Poll::Ready(Err(_)) = self.pipe.poll_flush(cx) {
            return self.close(CloseCause::PeerLost);
        }
        self.shared.set_clogged(self.pipe.is_clogged());
        if self.transfers.is_empty() {
            self.pipe.release();
        }
    }

    /// The codec is done: GOAWAY is written and everything that has been in flight is over.
    fn end(&mut self, cx: &mut Context<'_>, cause: CloseCause) {
        self.transfers.clear();
        self.shut_down(cx);
        self.phase = Phase::Lingering(self.shared.now() + LINGER, self.first_cause(cause));
    }

    fn shut_down(&mut self, cx: &mut Context<'_>) {
        // The stream says at its next read what went wrong, if anything did.
        let _ = Pin::new(&mut self.pipe.share()).poll_shutdown(cx);
    }

    fn close(&mut self, cause: CloseCause) {
        self.transfers.clear();
        self.phase = Phase::Closed(self.first_cause(cause));
    }

    /// What ends the connection: `cause`, unless something before it did.
    fn first_cause(&self, cause: CloseCause) -> CloseCause {
        match self.phase {
            Phase::Open(_, Course::Closing(first))
            | Phase::Lingering(_, first)
            | Phase::Closed(first) => first,
            Phase::Preface(_) | Phase::Open(_, Course::Serving | Course::Draining) => cause,
        }
    }
}

/// The cause that an error of the codec's stands for.
fn cause_of(error: &h2::Error) -> CloseCause {
    if error.is_io() || error.is_remote() {
        return CloseCause::PeerLost;
    }
    match error.reason() {
        // The codec's own bounds: resets, empty frames, CONTINUATION frames.
        Some(Reason::ENHANCE_YOUR_CALM) => CloseCause::Flood,
        _ => CloseCause::ProtocolError,
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
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
