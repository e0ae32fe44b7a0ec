//! `Pipe`: the byte stream under the HTTP/2 codec.
//!
//! The output of the codec is gathered until the connection's turn is over, so that the answers to many requests
//! leave in one write. A stream that queues output itself (TLS) gets full records of large frames at once. The input
//! passes `FrameWatch`.

mod output;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use granian_proto::h2::{Flood, FrameWatch};
use tokio::io::{AsyncRead, ReadBuf};

use self::output::OUTPUT_LIMIT;
use super::Opened;
use super::appetite::Appetite;
use crate::runtime::reactor::TaskHandle;
use crate::runtime::slice::Slice;
use crate::stream::output::Output;
use crate::stream::socket::{Stream, poll_read_buf};
use crate::stream::wire::Wire;
use crate::transfer::Shared;

/// See the module's documentation. The codec and the connection own one handle each.
pub(super) struct Pipe<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    /// Its input are bytes read before the codec took over; the preface comes first. Only `tail` of its output is
    /// used.
    wire: Wire<S>,
    /// The request of an upgrade. It is inserted behind the first frame, the client's SETTINGS: the response must
    /// obey them.
    request: Option<Vec<u8>>,
    /// What the server's SETTINGS say of the size of header sections, until they are written.
    section_size: Option<u32>,
    /// A write has failed.
    is_broken: bool,
    watch: FrameWatch,
    flood: Option<Flood>,
    last_input: Instant,
    /// Bytes that came since `take_received`.
    received: usize,
    /// Reads that may give bytes in this turn.
    reads: u32,
    /// The last one found nothing. The codec tries again for each request that it gives.
    is_dry: bool,
    appetite: Appetite,
    is_starved: bool,
    slice: Rc<Slice>,
    /// Set while a push promise is flushed: reads return `Pending`, writes are gathered without a bound.
    is_writing: bool,
    /// Reads left for `poll_discard`.
    discards: u32,
    handle: TaskHandle,
}

impl<S: Stream> Pipe<S> {
    pub(super) fn new(opened: Opened<S>, shared: &Shared, write_timeout: Duration) -> Self {
        let (handle, slice) = (shared.handle.clone(), Rc::clone(&shared.slice));
        let now = handle.now();
        let (response, request) = match opened.upgrade {
            Some(upgrade) => (upgrade.response, Some(upgrade.request)),
            None => Default::default(),
        };
        let mut output = Output::default();
        output.tail().extend_from_slice(&response);
        Self(Rc::new(RefCell::new(Inner {
            wire: Wire::new(opened.io, opened.input, output, write_timeout),
            request,
            section_size: Some(shared.service.limits.http2.max_headers_size),
            is_broken: false,
            watch: FrameWatch::new(now),
            flood: None,
            last_input: now,
            received: 0,
            reads: READS_PER_TURN,
            is_dry: false,
            is_starved: false,
            appetite: Appetite::default(),
            slice,
            is_writing: false,
            discards: DISCARDS,
            handle,
        })))
    }

    pub(super) fn share(&self) -> Self {
        Self(Rc::clone(&self.0))
    }

    /// Begins the connection's share of a turn.
    pub(super) fn begin_turn(&self) {
        let mut inner = self.0.borrow_mut();
        inner.reads = READS_PER_TURN;
        inner.is_dry = false;
        inner.is_starved = false;
        inner.appetite.begin();
    }

    /// True if the connection has had its share of this turn; then it is as if there were more to read.
    pub(super) fn is_slice_over(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        if inner.slice.is_over(&inner.handle) {
            inner.reads = 0;
            inner.is_starved = true;
        }
        inner.is_starved
    }

    /// From here on reads return `Pending` and writes are gathered without a bound of the pipe's own: the codec
    /// holds no more than its own bounds allow.
    pub(super) fn begin_writing(&self) {
        self.0.borrow_mut().is_writing = true;
    }

    pub(super) fn end_writing(&self) {
        self.0.borrow_mut().is_writing = false;
    }

    /// True if the peer takes pushed responses.
    pub(super) fn accepts_push(&self) -> bool {
        self.0.borrow().watch.accepts_push()
    }

    /// True if there may be more to read, but the connection has had its reads of this turn.
    pub(super) fn is_starved(&self) -> bool {
        self.0.borrow().is_starved
    }

    /// Writes the gathered output, as far as `io` takes it.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(cx)
    }

    /// Reads and throws away. Gives 0 at the end of `io`, and after `DISCARDS` reads.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if inner.discards == 0 {
            return Poll::Ready(Ok(0));
        }
        if inner.reads == 0 {
            inner.is_starved = true;
            return Poll::Pending;
        }
        inner.reads -= 1;
        inner.discards -= 1;
        let mut waste = BytesMut::new();
        poll_read_buf(&mut inner.wire.io, cx, &mut waste)
    }

    /// True if `io` takes less than the codec writes.
    pub(super) fn is_clogged(&self) -> bool {
        let inner = self.0.borrow();
        inner.wire.is_blocked() && inner.wire.output.len() >= OUTPUT_LIMIT / 2
    }

    /// The output that waits for `io`; `None` while that takes nothing.
    pub(super) fn waiting(&self) -> Option<usize> {
        let inner = self.0.borrow();
        (!inner.wire.is_blocked()).then(|| inner.wire.output.len())
    }

    /// Tells how many bytes `io` takes behind the output.
    pub(super) fn room(&self) -> impl Fn() -> usize + 'static {
        let inner = Rc::downgrade(&self.0);
        move || inner.upgrade().map_or(0, |inner| inner.borrow().room())
    }

    /// True if there is output, and little enough to wait for that of others.
    pub(super) fn may_put_off(&self) -> bool {
        let inner = self.0.borrow();
        let queued = inner.wire.output.len();
        queued > 0 && queued <= PUT_OFF && !inner.wire.is_blocked() && !inner.is_broken
    }

    /// True while `io` takes nothing of the output.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.borrow().wire.is_blocked()
    }

    /// See [`Wire::check_stall`].
    pub(super) fn check_stall(&self, now: Instant) -> bool {
        self.0.borrow_mut().wire.check_stall(now)
    }

    /// See [`Wire::stall_deadline`].
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        self.0.borrow().wire.stall_deadline()
    }

    pub(super) fn section_since(&self) -> Option<Instant> {
        self.0.borrow().watch.section_since()
    }

    pub(super) fn last_input(&self) -> Instant {
        self.0.borrow().last_input
    }

    /// See [`Stream::silence`].
    pub(super) fn silence(&self) -> Option<Duration> {
        self.0.borrow().wire.io.silence()
    }

    /// Bytes that have come since this was called last.
    pub(super) fn take_received(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().received)
    }

    /// The flood that `FrameWatch` has seen; given once.
    pub(super) fn take_flood(&self) -> Option<Flood> {
        self.0.borrow_mut().flood.take()
    }

    pub(super) fn reset_on_close(&self) {
        self.0.borrow_mut().wire.io.reset_on_close();
    }

    /// Frees the output buffer of a connection that goes idle, or what is not used of it.
    pub(super) fn release(&self, is_idle: bool) {
        let output = &mut self.0.borrow_mut().wire.output;
        match is_idle {
            true => output.release(),
            false => output.shrink(),
        }
    }
}

impl<S: Stream> Inner<S> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let before = self.wire.output.len();
        let result = self.wire.write(cx, self.handle.now(), false);
        self.watch.handle_output(before - self.wire.output.len());
        self.is_broken = result.is_err();
        result?;
        match self.wire.output.is_empty() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Inserts the request of the upgrade, once the first frame is read.
    fn insert_request(&mut self) {
        if self.watch.is_behind_first_frame()
            && let Some(request) = self.request.take()
        {
            let input = &mut self.wire.input;
            let behind = std::mem::replace(input, BytesMut::from(&request[..]));
            input.extend_from_slice(&behind);
        }
    }

    /// Bytes to read for a caller that has `room`. While the upgrade's request waits, a read ends where the request
    /// may have to be inserted.
    fn wanted(&self, room: usize) -> usize {
        match self.request {
            Some(_) => room.min(self.watch.sure_len()).min(REQUEST_STEP),
            None => room,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let now = self.handle.now();
        self.last_input = now;
        self.received += bytes.len();
        if let Err(flood) = self.watch.handle_input(now, bytes) {
            self.flood = Some(flood);
            self.reads = 0;
        }
    }
}

impl<S: Stream> AsyncRead for Pipe<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if inner.is_writing {
            return Poll::Pending; // `Connection::push` polls again behind `end_writing`
        }
        inner.insert_request();
        let wanted = inner.wanted(buf.remaining());
        if !inner.wire.input.is_empty() {
            let count = inner.wire.input.len().min(wanted);
            let part = inner.wire.input.split_to(count);
            if inner.wire.input.is_empty() {
                inner.wire.input = BytesMut::new(); // the last part is the buffer's owner
            }
            buf.put_slice(&part);
            inner.note(&part);
            return Poll::Ready(Ok(()));
        }
        // A look at the clock before the second read and each one behind it.
        let looks = inner.reads < READS_PER_TURN && !inner.is_dry;
        if inner.reads == 0 || (looks && inner.slice.is_over(&inner.handle)) {
            inner.is_starved = true;
            return Poll::Pending;
        }
        if looks {
            inner.appetite.note(inner.slice.used());
        }
        let before = buf.filled().len();
        let wanted = inner.appetite.limit(wanted);
        inner.is_dry = true;
        if wanted < buf.remaining() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(wanted));
            ready!(Pin::new(&mut inner.wire.io).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            buf.advance(count);
        } else {
            ready!(Pin::new(&mut inner.wire.io).poll_read(cx, buf))?;
        }
        inner.is_dry = false;
        inner.reads -= 1;
        inner.note(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

/// Most bytes that leave together with those of other connections.
const PUT_OFF: usize = 16 * 1024;
/// Bytes of one read before the upgrade's request is inserted: the preface and a few settings.
const REQUEST_STEP: usize = 64;
/// Reads of one connection in a turn. The codec reads about 8 KiB at a time.
const READS_PER_TURN: u32 = 32;
/// Reads of a lingering connection: about 4 MiB.
const DISCARDS: u32 = 256;
