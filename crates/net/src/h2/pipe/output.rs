//! What the codec writes, until the turn is over, and how much more of it the socket takes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{Inner, Pipe};
use crate::stream::socket::Stream;

impl<S: Stream> Inner<S> {
    pub(super) fn room(&self) -> usize {
        let output = &self.wire.output;
        match self.wire.io.room() {
            Some(room) if !output.is_empty() => room.saturating_sub(output.len()),
            // News of room comes only behind a write that has found none.
            Some(room) => room.max(LEAST_WRITE),
            None => usize::MAX,
        }
    }

    pub(super) fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.wire.output.len() >= OUTPUT_LIMIT && !self.is_writing {
            ready!(self.poll_flush(cx))?;
        }
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = match self.is_writing {
            true => bytes.len(),
            false => OUTPUT_LIMIT.saturating_sub(self.wire.output.len()),
        };
        let taken = bytes.get(..room).unwrap_or(bytes);
        let tail = self.wire.output.tail();
        if taken.len() > LEAST_WRITE && taken.len() > tail.capacity() - tail.len() {
            tail.reserve(OUTPUT_LIMIT.saturating_sub(tail.len()).max(taken.len()));
        }
        let before = tail.len();
        tail.extend_from_slice(taken);
        if let Some(size) = self.section_size.take() {
            announce(&mut tail[before..], size);
        }
        Poll::Ready(Ok(taken.len()))
    }

    /// [`Output::pass`], for large frames. Returns the bytes of `slices` that were taken.
    pub(super) fn pass(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> usize {
        if self.is_writing || self.is_broken {
            return 0;
        }
        let before = self.wire.output.len();
        let passed = self.wire.pass(cx, slices);
        self.is_broken = passed.is_err();
        let passed = passed.unwrap_or(0);
        self.watch
            .handle_output(before - self.wire.output.len() + passed);
        passed
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
        let now = inner.handle.now();
        inner.wire.poll_end(cx, now).map(Ok)
    }
}

/// Says in a SETTINGS frame that header sections may have `size` bytes. The codec writes its own bound there, which
/// is a larger one. Its first frame is the SETTINGS, written at once.
fn announce(settings: &mut [u8], size: u32) {
    const HEAD_LEN: usize = 9;
    const MAX_HEADER_LIST_SIZE: u8 = 6;
    let payload = settings.get_mut(HEAD_LEN..).unwrap_or_default();
    for setting in payload.chunks_exact_mut(6) {
        if let [0, MAX_HEADER_LIST_SIZE, value @ ..] = setting {
            value.copy_from_slice(&size.to_be_bytes());
        }
    }
}

/// Gathered bytes that are written before the turn is over.
pub(super) const OUTPUT_LIMIT: usize = 64 * 1024;
/// Bytes that are written to see whether a socket has room, and large ones beside others.
const LEAST_WRITE: usize = 4 * 1024;
