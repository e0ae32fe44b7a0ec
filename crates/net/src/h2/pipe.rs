//! `Pipe`: the byte stream under the HTTP/2 codec.
//!
//! The output of the codec is gathered until the connection's turn is over, so that the answers to many requests
//! leave in one write. A stream that queues output itself (TLS) gets full records of large frames at once. The input
//! passes `FrameWatch`.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use granian_proto::h2::{Flood, FrameWatch};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Opened;
use crate::runtime::reactor::TaskHandle;
use crate::stream::socket::{Stream, len_of, poll_read_buf};

/// See the module's documentation. The codec and the connection own one handle each.
pub(super) struct Pipe<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    io: S,
    /// Bytes read before the codec took over; the preface comes first.
    replay: BytesMut,
    /// The request of an upgrade. It is inserted behind the first frame, the client's SETTINGS: the response must
    /// obey them.
    request: Option<Vec<u8>>,
    output: BytesMut,
    /// `io` has taken output that it has not sent: records wait for a flush.
    is_held_back: bool,
    /// The time since when `io` has taken nothing of the output.
    blocked_since: Option<Instant>,
    broken: bool,
    watch: FrameWatch,
    flood: Option<Flood>,
    last_input: Instant,
    /// Bytes that came since `take_received`.
    received: usize,
    /// Reads left in this turn.
    reads: u32,
    is_starved: bool,
    /// Set while a push promise is flushed: reads return `Pending`, writes are gathered without a bound.
    is_writing: bool,
    /// Reads left for `poll_discard`.
    discards: u32,
    handle: TaskHandle,
}

impl<S: Stream> Pipe<S> {
    pub(super) fn new(opened: Opened<S>, handle: TaskHandle) -> Self {
        let now = handle.now();
        let (response, request) = match opened.upgrade {
            Some(upgrade) => (upgrade.response, Some(upgrade.request)),
            None => Default::default(),
        };
        Self(Rc::new(RefCell::new(Inner {
            io: opened.io,
            replay: opened.input,
            request,
            output: BytesMut::from(&response[..]),
            is_held_back: false,
            blocked_since: None,
            broken: false,
            watch: FrameWatch::new(now),
            flood: None,
            last_input: now,
            received: 0,
            reads: READS_PER_TURN,
            is_starved: false,
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
        inner.is_starved = false;
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
        poll_read_buf(&mut inner.io, cx, &mut waste)
    }

    /// True if `io` takes less than the codec writes.
    pub(super) fn is_clogged(&self) -> bool {
        let inner = self.0.borrow();
        inner.blocked_since.is_some() && inner.output.len() >= OUTPUT_LIMIT / 2
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.0.borrow().blocked_since
    }

    pub(super) fn section_since(&self) -> Option<Instant> {
        self.0.borrow().watch.section_since()
    }

    pub(super) fn last_input(&self) -> Instant {
        self.0.borrow().last_input
    }

    /// Bytes that have come since this was called last.
    pub(super) fn take_received(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().received)
    }

    /// The flood that `FrameWatch` has seen; given once.
    pub(super) fn take_flood(&self) -> Option<Flood> {
        self.0.borrow_mut().flood.take()
    }

    /// Bytes that were written and that the peer has not acknowledged, if that can be told.
    pub(super) fn unacknowledged(&self) -> Option<usize> {
        self.0.borrow().io.unacknowledged()
    }

    pub(super) fn reset_on_close(&self) {
        self.0.borrow_mut().io.reset_on_close();
    }

    /// Frees the output buffer of a connection that goes idle.
    pub(super) fn release(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.output.is_empty() {
            inner.output = BytesMut::new();
        }
    }
}

impl<S: Stream> Inner<S> {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.output.is_empty() && !self.is_held_back {
            return Poll::Ready(Ok(()));
        }
        while !self.output.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.output) {
                Poll::Pending => {
                    self.blocked_since.get_or_insert(self.handle.now());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count)) => {
                    self.output.advance(count);
                    self.watch.handle_output(count);
                    self.blocked_since = None;
                }
                Poll::Ready(Err(error)) => {
                    self.broken = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
        self.is_held_back = true;
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => {
                self.blocked_since.get_or_insert(self.handle.now());
                return Poll::Pending;
            }
            Poll::Ready(result) => result?,
        }
        self.is_held_back = false;
        self.blocked_since = None;
        Poll::Ready(Ok(()))
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.output.len() >= OUTPUT_LIMIT && !self.is_writing {
            ready!(self.poll_flush(cx))?;
        }
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = match self.is_writing {
            true => bytes.len(),
            false => OUTPUT_LIMIT.saturating_sub(self.output.len()),
        };
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.output.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// Passes full records of `output` and `slices` to an `io` that queues them: large frames need not be copied
    /// into `output` first. Returns the bytes of `slices` that were taken; the caller gathers the rest.
    fn pass(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> usize {
        let gathered = self.output.len();
        let all = gathered + len_of(slices);
        let mut left = all - all % RECORD;
        let is_free = self.blocked_since.is_none() && !self.is_writing && !self.broken;
        if !is_free || gathered >= RECORD || left == 0 || !self.io.queues() {
            return 0;
        }
        let mut parts = [IoSlice::new(&[]); PARTS];
        let sources = std::iter::once(&*self.output).chain(slices.iter().map(|slice| &**slice));
        for (part, source) in parts.iter_mut().zip(sources) {
            let source = source.get(..left).unwrap_or(source);
            *part = IoSlice::new(source);
            left -= source.len();
        }
        match Pin::new(&mut self.io).poll_write_vectored(cx, &parts) {
            Poll::Pending => 0,
            Poll::Ready(Ok(count)) => {
                self.is_held_back = true;
                self.watch.handle_output(count);
                self.output.advance(count.min(gathered));
                count.saturating_sub(gathered)
            }
            Poll::Ready(Err(_)) => {
                self.broken = true;
                0
            }
        }
    }

    /// Inserts the request of the upgrade, once the first frame is read.
    fn insert_request(&mut self) {
        if self.watch.is_behind_first_frame()
            && let Some(request) = self.request.take()
        {
            let behind = std::mem::replace(&mut self.replay, BytesMut::from(&request[..]));
            self.replay.extend_from_slice(&behind);
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
        if !inner.replay.is_empty() {
            let count = inner.replay.len().min(wanted);
            let part = inner.replay.split_to(count);
            buf.put_slice(&part);
            inner.note(&part);
            return Poll::Ready(Ok(()));
        }
        if inner.reads == 0 {
            inner.is_starved = true;
            return Poll::Pending;
        }
        inner.reads -= 1;
        let before = buf.filled().len();
        if wanted < buf.remaining() {
            let mut part = [0; REQUEST_STEP];
            let mut part = ReadBuf::new(part.get_mut(..wanted).unwrap_or_default());
            ready!(Pin::new(&mut inner.io).poll_read(cx, &mut part))?;
            buf.put_slice(part.filled());
        } else {
            ready!(Pin::new(&mut inner.io).poll_read(cx, buf))?;
        }
        inner.note(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Pipe<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let passed = inner.pass(cx, slices);
        let mut count = passed;
        let mut skip = passed;
        for slice in slices {
            let rest = slice.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(slice.len());
            match inner.poll_gather(cx, rest) {
                Poll::Ready(Ok(taken)) => {
                    count += taken;
                    if taken < rest.len() {
                        break;
                    }
                }
                _ if count > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the connection flushes when its turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_flush(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

/// Gathered bytes that are written before the turn is over.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// Bytes that a TLS record holds at most (RFC 8446, 5.1). A stream that queues gets multiples of it.
const RECORD: usize = 16 * 1024;
/// Slices of one write to a stream that queues: the output, and the head and data of a frame.
const PARTS: usize = 3;
/// Bytes of one read before the upgrade's request is inserted: the preface and a few settings.
const REQUEST_STEP: usize = 64;
/// Reads of one connection in a turn. The codec reads about 8 KiB at a time.
const READS_PER_TURN: u32 = 32;
/// Reads of a lingering connection: about 4 MiB.
const DISCARDS: u32 = 256;
