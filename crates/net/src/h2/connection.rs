//! `Connection`: drives the codec and the transfers of one HTTP/2 connection, and decides when it
//! has to end.

mod deadlines;
mod end;
mod requests;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream as _, futures_unordered};
use h2::Reason;
use h2::server::{Builder, Handshake};

use self::end::{cause_before_open, cause_of};
use super::Opened;
use super::pings::{Pings, Verdict};
use super::pipe::Pipe;
use super::push::Pushes;
use super::stream::Http2Stream;
use crate::bounds::{CALLS_PER_LOOK, STEPS_PER_TURN};
use crate::close::CloseCause;
use crate::exchange::app::Peer;
use crate::metrics::Present;
use crate::runtime::reactor::TaskHandle;
use crate::service::Service;
use crate::stream::socket::Stream;
use crate::transfer::{CoalescingWaker, Shared, Transfer, tunnel};

/// Serves HTTP/2 on a stream until it is closed.
pub(crate) async fn serve<S: Stream>(
    opened: Opened<S>,
    peer: Arc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
) {
    // The first bytes may be a thousand requests.
    handle.begin_behind().await;
    let shared = Shared::new(peer, service, handle);
    shared.share.set_patient(true);
    let mut connection = Connection::new(opened, Rc::clone(&shared));
    let cause = poll_fn(|cx| connection.poll(cx)).await;
    drop(connection);
    shared.service.note_closed(&shared.peer, cause);
}

struct Connection<S> {
    pipe: Pipe<S>,
    phase: Phase<S>,
    transfers: FuturesUnordered<Transfer<Http2Stream>>,
    /// Those that the connection had when it ended.
    left_over: Option<futures_unordered::IntoIter<Transfer<Http2Stream>>>,
    pushes: Rc<Pushes>,
    pings: Option<Pings>,
    /// The waker that the codec and the transfers get, from the connection's first poll on.
    coalescing: Option<(Arc<CoalescingWaker>, Waker)>,
    opened_at: Instant,
    /// Requests that have come.
    requests: u64,
    _present: Present,
    shared: Rc<Shared>,
}

enum Phase<S> {
    Preface(Handshake<Pipe<S>, Bytes>),
    Open(h2::server::Connection<Pipe<S>, Bytes>, Course),
    /// The sending side is closed. Input is thrown away until the given time: closing with unread
    /// input would reset the connection, and the peer would lose output that it has not read yet.
    Lingering(Instant, CloseCause),
    Closed(CloseCause),
}

/// Where an open connection is going.
#[derive(Clone, Copy)]
enum Course {
    Serving,
    /// No new requests; the codec closes when those in flight are done.
    Draining {
        /// There is none, and the peer has been sent every response before the drain.
        is_idle: bool,
        cause: CloseCause,
    },
    /// The codec closes as soon as its GOAWAY is written: all streams are reset.
    Closing(CloseCause),
}

impl<S: Stream> Connection<S> {
    fn new(opened: Opened<S>, shared: Rc<Shared>) -> Self {
        let timeout = shared.service.limits.timeouts.write;
        let pipe = Pipe::new(opened, &shared, timeout);
        shared.room.ask(pipe.room());
        Self {
            phase: Phase::Preface(builder(&shared.service).handshake(pipe.share())),
            pipe,
            transfers: FuturesUnordered::new(),
            left_over: None,
            pushes: Pushes::new(Rc::clone(&shared)),
            pings: None,
            coalescing: None,
            opened_at: shared.now(),
            requests: 0,
            _present: Present::http2(shared.service.metrics()),
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
        self.shared.begin_poll();
        self.pipe.begin_turn();
        self.drive(&mut Context::from_waker(&waker), &coalescing);
        let has_let_go = self.let_go();
        coalescing.end();
        self.coalescing = Some((coalescing, waker));
        if let Phase::Closed(cause) = self.phase
            && has_let_go
        {
            return Poll::Ready(cause);
        }
        let handle = &self.shared.handle;
        if self.pipe.is_starved() {
            handle.give_way();
        }
        self.shared.share.set_patient(handle.is_behind());
        self.set_deadline();
        Poll::Pending
    }

    fn drive(&mut self, cx: &mut Context<'_>, coalescing: &CoalescingWaker) {
        self.handle_stage();
        self.handle_deadlines();
        if self.shared.service.line.asks_unread() {
            let unread = self.pipe.silence().unwrap_or_default();
            self.shared.unread.set(unread);
        }
        for _ in 0..STEPS_PER_TURN {
            coalescing.take_note();
            self.poll_protocol(cx);
            // Deadlines of the input follow the reading: this thread may have been busy past one.
            if self.handle_input_deadline() {
                self.poll_protocol(cx);
            }
            self.poll_pings(cx);
            if self.shared.room.is_awaited() {
                self.flush(cx);
            }
            let transfers = self.transfers.len();
            self.shared.room.open(self.pipe.waiting(), transfers);
            self.poll_transfers(cx);
            if self.shared.is_held() {
                self.push(cx);
            }
            if self.shared.has_pulled.take() {
                self.flush(cx);
            }
            if !coalescing.take_note() || self.pipe.is_slice_over() {
                break;
            }
            // The next step polls what was woken.
            Waker::wake_by_ref(cx.waker());
        }
        self.close_if_crowded(cx);
        if self.shared.room.is_used() {
            // The slice is over. What was handed over would be in memory until the next one.
            self.poll_protocol(cx);
        }
        match self.may_put_off() {
            true => self.shared.handle.defer(),
            false => {
                self.flush(cx);
                self.pipe.release(self.transfers.is_empty());
            }
        }
    }

    /// Lets the transfers go on that can, as long as the connection has its share of the turn.
    fn poll_transfers(&mut self, cx: &mut Context<'_>) {
        let mut over = 0;
        while let Poll::Ready(Some(())) = Pin::new(&mut self.transfers).poll_next(cx) {
            over += 1;
            if over % CALLS_PER_LOOK == 0 && self.pipe.is_slice_over() {
                return;
            }
        }
    }

    /// True if what is queued may leave later in this turn, with the responses of other connections and with those
    /// that other streams of this one are about to give (`runtime/deferred.rs`).
    fn may_put_off(&self) -> bool {
        matches!(self.phase, Phase::Open(_, Course::Serving))
            && self.pipe.may_put_off()
            && self.shared.service.limits.mechanisms.deferred_writes
            && self.shared.handle.may_defer()
    }

    /// Lets the codec read and write, and starts the requests that have come.
    fn poll_protocol(&mut self, cx: &mut Context<'_>) {
        let mut started = 0;
        loop {
            if started == CALLS_PER_LOOK {
                started = 0;
                if self.pipe.is_slice_over() {
                    return;
                }
            }
            match &mut self.phase {
                Phase::Preface(handshake) => match Pin::new(handshake).poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(codec)) => self.open(codec),
                    Poll::Ready(Err(error)) => self.end(cx, cause_before_open(&error)),
                },
                Phase::Open(codec, course) => {
                    if self.pipe.take_flood().is_some() {
                        codec.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        *course = Course::Closing(CloseCause::Flood);
                    }
                    match codec.poll_accept(cx) {
                        Poll::Pending => return,
                        Poll::Ready(Some(Ok((request, respond)))) => {
                            started += 1;
                            self.start(cx, request, respond);
                        }
                        Poll::Ready(Some(Err(error))) => self.end(cx, cause_of(&error)),
                        Poll::Ready(None) => {
                            let cause = self.cause_without_error();
                            self.end(cx, cause);
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

    fn poll_pings(&mut self, cx: &mut Context<'_>) {
        let (Some(pings), Phase::Open(codec, _)) = (&mut self.pings, &mut self.phase) else {
            return;
        };
        let now = self.shared.now();
        pings.note_data(now, self.pipe.take_received());
        match pings.poll(cx, now, self.pipe.last_input()) {
            Verdict::Nothing => {}
            Verdict::Widen(size) => {
                let least = self
                    .shared
                    .service
                    .limits
                    .http2
                    .initial_connection_window_size;
                codec.set_target_window_size(size.max(least));
                // Fails while the peer has not acknowledged the size before. A later ping tries
                // again.
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
            // The shutdown waits for output that found no room, and is tried until it is done.
            Phase::Lingering(..) => {
                self.shut_down(cx);
                return;
            }
            Phase::Preface(_) | Phase::Open(..) => {}
        }
        if let Poll::Ready(Err(_)) = self.pipe.poll_flush(cx) {
            return self.close(CloseCause::PeerLost);
        }
        self.shared.set_clogged(self.pipe.is_clogged());
        if !self.pipe.is_blocked() {
            self.shared.room.wake();
        }
    }
}

fn builder(service: &Service) -> Builder {
    let options = &service.limits.http2;
    let mut builder = Builder::new();
    builder
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_frame_size(options.max_frame_size)
        // A larger section is refused in `Connection::start`, where it has a line in the logs and is counted. The
        // codec answers without a word, so its own bound is one for the memory.
        .max_header_list_size(options.max_headers_size.saturating_mul(2))
        // A closed tab of a browser takes all its requests back, before the server has looked at
        // them. `FrameWatch` knows a flood of them.
        .max_pending_accept_reset_streams(options.max_concurrent_streams as usize)
        .max_send_buffer_size(options.max_send_buffer_size);
    if tunnel::is_enabled(service) {
        builder.enable_connect_protocol();
    }
    builder
}
