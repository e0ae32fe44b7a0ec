//! `Output`: the bytes that a connection has to write, in order. Framing and small pieces are
//! gathered in one buffer, large pieces are kept by reference, files are regions.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::region::FileRegion;
use crate::stream::socket::{Stream, len_of};

/// The write queue of one connection. Its callers keep it bounded.
#[derive(Default)]
pub(crate) struct Output {
    segments: VecDeque<Segment>,
    /// The buffer behind the segments.
    tail: Vec<u8>,
    /// Bytes of `tail` that have left; only while there are no segments.
    tail_sent: usize,
    bytes: usize,
    /// The stream has taken bytes whose records have not left.
    is_held_back: bool,
}

enum Segment {
    Bytes(Bytes),
    File(FileRegion),
}

impl Output {
    /// The buffer at the end of the queue, for framing and small pieces.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.drop_sent();
        &mut self.tail
    }

    /// Queues `data`: copied if small, else kept by reference.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.push_within(data, COPY_LIMIT);
    }

    /// Queues a piece that leaves together with others; larger ones are copied too.
    pub(crate) fn gather(&mut self, data: Bytes) {
        self.push_within(data, GATHER_LIMIT);
    }

    fn push_within(&mut self, data: Bytes, limit: usize) {
        if data.len() <= limit {
            self.tail().extend_from_slice(&data);
        } else {
            self.seal_tail();
            self.bytes += data.len();
            self.segments.push_back(Segment::Bytes(data));
        }
    }

    /// Queues a region of a file.
    pub(crate) fn push_file(&mut self, region: FileRegion) {
        self.seal_tail();
        self.segments.push_back(Segment::File(region));
    }

    /// Takes all bytes out, if they are in one buffer; [`Output::restore`] puts them back.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.is_in_one_buffer()
            .then(|| std::mem::take(&mut self.tail))
    }

    /// True if `take` would succeed.
    pub(crate) fn is_in_one_buffer(&self) -> bool {
        self.segments.is_empty() && self.tail_sent == 0
    }

    /// Puts back the taken bytes, of which `sent` have left.
    pub(crate) fn restore(&mut self, bytes: Vec<u8>, sent: usize) {
        self.tail = bytes;
        self.tail_sent = sent;
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_held_back && self.segments.is_empty() && self.tail.is_empty()
    }

    /// Bytes in memory that wait, without files.
    pub(crate) fn len(&self) -> usize {
        self.bytes + self.tail.len() - self.tail_sent
    }

    /// True if the caller must queue no more: `window` bytes wait, or a file. One file at a time is
    /// kept open.
    pub(crate) fn is_full(&self, window: usize) -> bool {
        self.len() >= window || self.files().next().is_some()
    }

    /// Bytes that wait, files included.
    pub(crate) fn left(&self) -> u64 {
        self.len() as u64 + self.files().map(|file| file.len).sum::<u64>()
    }

    fn files(&self) -> impl Iterator<Item = &FileRegion> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::File(file) => Some(file),
            Segment::Bytes(_) => None,
        })
    }

    /// Gives the buffers back to the allocator: the connection goes idle.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.tail = Vec::new();
            self.segments = VecDeque::new();
        }
    }

    /// Gives back what the tail does not need while the peer is waited for. The rest is copied: cut short where it is, it
    /// would lie in the middle of memory that large pieces need.
    pub(crate) fn shrink(&mut self) {
        let rest = &self.tail[self.tail_sent..];
        if self.tail.capacity() > KEPT.max(2 * rest.len()) {
            self.tail = rest.to_vec();
            self.tail_sent = 0;
        }
    }

    /// Writes until nothing is left or the stream takes no more. `last` bytes may stay in the
    /// stream, since its shutdown follows.
    ///
    /// # Errors
    /// The error of the stream; `UnexpectedEof` for a file that became shorter.
    pub(crate) fn poll_write<S: Stream>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        last: bool,
    ) -> Poll<io::Result<()>> {
        while !self.segments.is_empty() {
            if let Some(Segment::File(region)) = self.segments.front_mut() {
                let done = ready!(poll_file(region, io, cx))?;
                if let Some(bytes) = done {
                    self.bytes += bytes.len();
                    self.segments.push_front(Segment::Bytes(bytes));
                } else if region_is_done(self.segments.front()) {
                    self.segments.pop_front();
                }
                continue;
            }
            let count = ready!(self.poll_slices(io, cx))?;
            self.advance(count);
        }
        while self.tail_sent < self.tail.len() {
            self.tail_sent +=
                ready!(Pin::new(&mut *io).poll_write(cx, &self.tail[self.tail_sent..]))?;
        }
        self.tail.clear();
        self.tail_sent = 0;
        self.is_held_back = !last;
        if !last {
            ready!(Pin::new(io).poll_flush(cx))?;
        }
        self.is_held_back = false;
        Poll::Ready(Ok(()))
    }

    /// Passes full records of the tail and of `slices` behind it to a stream that queues them: large pieces need not
    /// be copied into the tail first. Returns the bytes of `slices` that were taken; the caller queues the rest.
    ///
    /// # Errors
    /// See [`Output::poll_write`].
    pub(crate) fn pass<S: Stream>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let tail = &self.tail[self.tail_sent..];
        let all = tail.len() + len_of(slices);
        let mut left = all - all % RECORD;
        let has_room = self.segments.is_empty() && tail.len() < RECORD;
        if !has_room || left == 0 || !io.queues() {
            return Ok(0);
        }
        let mut parts = [IoSlice::new(&[]); PARTS];
        let sources = std::iter::once(tail).chain(slices.iter().map(|slice| &**slice));
        for (part, source) in parts.iter_mut().zip(sources) {
            let source = source.get(..left).unwrap_or(source);
            *part = IoSlice::new(source);
            left -= source.len();
        }
        match Pin::new(io).poll_write_vectored(cx, &parts) {
            Poll::Pending => Ok(0),
            Poll::Ready(count) => {
                let count = count?;
                let own = count.min(tail.len());
                self.is_held_back = true;
                self.tail_sent += own;
                if self.tail_sent == self.tail.len() {
                    self.tail.clear();
                    self.tail_sent = 0;
                }
                Ok(count - own)
            }
        }
    }

    fn poll_slices<S: Stream>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut all = true;
        for segment in &self.segments {
            match segment {
                Segment::Bytes(bytes) if count < SLICES - 1 => {
                    slices[count] = IoSlice::new(bytes);
                    count += 1;
                }
                _ => {
                    all = false;
                    break;
                }
            }
        }
        if all && !self.tail.is_empty() {
            slices[count] = IoSlice::new(&self.tail);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            match self.segments.front_mut() {
                Some(Segment::Bytes(bytes)) => {
                    let step = count.min(bytes.len());
                    bytes.advance(step);
                    self.bytes -= step;
                    count -= step;
                    if bytes.is_empty() {
                        self.segments.pop_front();
                    }
                }
                Some(Segment::File(_)) => return,
                None => {
                    self.tail_sent += count;
                    return;
                }
            }
        }
    }

    /// Gives sent bytes of the tail back. A peer that reads more slowly than the application makes would
    /// have all of a long response kept: the tail is never sent to its end.
    fn drop_sent(&mut self) {
        if self.tail_sent >= SENT_LIMIT {
            self.tail.drain(..std::mem::take(&mut self.tail_sent));
        }
    }

    fn seal_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let mut bytes = Bytes::from(std::mem::take(&mut self.tail));
        bytes.advance(std::mem::take(&mut self.tail_sent));
        self.bytes += bytes.len();
        self.segments.push_back(Segment::Bytes(bytes));
    }
}

fn region_is_done(segment: Option<&Segment>) -> bool {
    matches!(segment, Some(Segment::File(region)) if region.len == 0)
}

/// Sends from the front file. Returns bytes read from it if the stream cannot send files.
fn poll_file<S: Stream>(
    region: &mut FileRegion,
    io: &mut S,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Option<Bytes>>> {
    if region.len == 0 {
        return Poll::Ready(Ok(None));
    }
    let wanted = usize::try_from(region.len)
        .unwrap_or(usize::MAX)
        .min(FILE_STEP);
    if region.is_remote() {
        let step = ready!(poll_room(io, cx, wanted.min(REMOTE_STEP)))?;
        return region.poll_read(cx, step).map_ok(Some);
    }
    ready!(region.poll_warm(cx, wanted));
    let sent = match io.poll_send_file(cx, &region.file, region.offset, wanted) {
        Poll::Ready(Err(error)) if is_unsupported(&error) => {
            let step = ready!(poll_room(io, cx, wanted.min(READ_STEP)))?;
            let bytes = region.read(step)?;
            return Poll::Ready(Ok(Some(bytes)));
        }
        other => ready!(other)?,
    };
    if sent == 0 {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    region.offset += sent as u64;
    region.len -= sent as u64;
    Poll::Ready(Ok(None))
}

/// How many of `wanted` bytes are to be read for the stream: more than it takes now would wait in memory.
fn poll_room<S: Stream>(
    io: &mut S,
    cx: &mut Context<'_>,
    wanted: usize,
) -> Poll<io::Result<usize>> {
    let mut room = io.room();
    if io.queues() && room.is_some_and(|room| room < wanted) {
        // What is queued goes first, and may need that room.
        ready!(Pin::new(&mut *io).poll_flush(cx))?;
        room = io.room();
    }
    // News of room comes only behind a write that has found none.
    let room = room.map_or(wanted, |room| room.max(LEAST_READ));
    Poll::Ready(Ok(room.min(wanted)))
}

/// The kernel returns `EINVAL` for files that cannot be mapped, such as those of /proc.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    )
}

/// Bytes up to which a piece is copied next to its framing, which is cheaper than one more slice. A
/// piece of 10 KiB is not (`make bench`, asgi-10k: 9.6 µs, copied 9.8 µs).
const COPY_LIMIT: usize = 4 * 1024;
const GATHER_LIMIT: usize = 16 * 1024;
const SLICES: usize = 16;
/// Sent bytes of the tail that are kept until more is queued.
const SENT_LIMIT: usize = 64 * 1024;
/// Capacity of the tail that a connection keeps which waits for its peer.
const KEPT: usize = 1024;
/// Bytes that a TLS record holds at most (RFC 8446, 5.1). A stream that queues gets multiples of it.
const RECORD: usize = 16 * 1024;
/// Slices of one write to a stream that queues: the tail, and the head and data of a frame.
const PARTS: usize = 3;
/// Most bytes of one file that a single call sends.
const FILE_STEP: usize = 512 * 1024;
const LEAST_READ: usize = 4 * 1024;
/// Most bytes of one file in memory at a time.
const READ_STEP: usize = 128 * 1024;
/// A client may become slow meanwhile.
const REMOTE_STEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::testing::pair;

    /// A peer that takes a little less each time than is queued.
    #[test]
    fn a_slow_reader_does_not_make_the_tail_grow() {
        let (reader, mut io) = pair(900);
        let mut output = Output::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sent = 0;
        while sent < 10 << 20 {
            if !output.is_full(64 * 1024) {
                output.push(Bytes::from_static(&[0; 1000]));
            }
            let _ = output
                .poll_write(&mut io, &mut cx, false)
                .map(Result::unwrap);
            sent += reader.take_unread().len();
            assert!(output.tail.len() < 256 * 1024, "{sent}");
        }
        assert!(output.left() > 0);
    }
}
