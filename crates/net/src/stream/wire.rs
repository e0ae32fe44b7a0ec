//! `Wire`: the socket of a connection of any protocol. It owns the stream, the received bytes that
//! were not used, the bytes that wait to leave, and the clock of a peer that takes none of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::buffers::Buffers;
use super::output::Output;
use super::socket::{Stream, poll_read_buf};
use super::stall::Stall;
use crate::bounds::LINGER;

/// See the module's documentation.
pub(crate) struct Wire<S> {
    pub(crate) io: S,
    /// Received bytes that were not used.
    pub(crate) input: BytesMut,
    /// Bytes that wait to leave.
    pub(crate) output: Output,
    stall: Stall,
    /// Time within which the peer must take some of the output.
    write_timeout: Duration,
    /// Waiting bytes in memory, as reported last; `None` if others have come since.
    unsent: Option<usize>,
}

/// The result of one step of a drive loop.
pub(crate) enum Step {
    /// Another step may follow.
    Again,
    /// Only an event, a reply or a deadline leads on.
    Wait,
}

impl<S: Stream> Wire<S> {
    /// The wire of `io`, whose peer has `write_timeout` to take some of the output.
    pub(crate) fn new(io: S, input: BytesMut, output: Output, write_timeout: Duration) -> Self {
        Self {
            io,
            input,
            output,
            stall: Stall::default(),
            write_timeout,
            unsent: Some(0),
        }
    }

    /// Gives up the stream and both buffers.
    pub(crate) fn into_parts(self) -> (S, BytesMut, Output) {
        (self.io, self.input, self.output)
    }

    /// Reads once and appends to `input`; returns 0 at the stream's end. A connection that waits
    /// for more keeps no empty buffer.
    ///
    /// # Errors
    /// The error of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        spare: &Buffers,
    ) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = spare.take();
        }
        let read = poll_read_buf(&mut self.io, cx, &mut self.input);
        if read.is_pending() && self.input.is_empty() {
            spare.give(std::mem::take(&mut self.input));
        }
        read
    }

    /// Writes as much as the stream takes. If the output is the `last`, the stream's end follows at
    /// once.
    ///
    /// # Errors
    /// See [`Output::poll_write`].
    pub(crate) fn write(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        last: bool,
    ) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let before = self.output.left();
        self.io.set_end_follows(last);
        match self.output.poll_write(&mut self.io, cx, last) {
            Poll::Ready(result) => {
                result?;
                self.stall.clear();
            }
            Poll::Pending => {
                if self.stall.is_clear() || self.output.left() < before {
                    self.stall.start(now, self.write_timeout);
                }
            }
        }
        Ok(())
    }

    /// [`Output::pass`] on the stream, unless that is blocked.
    ///
    /// # Errors
    /// See there.
    pub(crate) fn pass(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        if self.is_blocked() {
            return Ok(0);
        }
        self.output.pass(&mut self.io, cx, slices)
    }

    /// True while the stream takes none of the output.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.stall.is_clear()
    }

    /// More of the application's bytes were taken over. They may leave before `take_unsent`, which reports that too.
    pub(crate) fn note_taken(&mut self) {
        self.unsent = None;
    }

    /// The waiting bytes in memory, if they differ from the number reported last.
    pub(crate) fn take_unsent(&mut self) -> Option<usize> {
        let unsent = self.output.len();
        let before = self.unsent.replace(unsent);
        (before != Some(unsent)).then_some(unsent)
    }

    /// True if the peer has taken nothing for too long; then the close is a reset.
    pub(crate) fn check_stall(&mut self, now: Instant) -> bool {
        let io = &self.io;
        let is_over = self
            .stall
            .check(now, self.write_timeout, || io.unacknowledged());
        if is_over {
            self.io.reset_on_close();
        }
        is_over
    }

    /// When to call `check_stall`.
    pub(crate) fn stall_deadline(&self) -> Option<Instant> {
        self.stall.deadline()
    }

    /// Ends our side, once everything has left. The stream's next read shows an error.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        if ended.is_ready() {
            self.stall.clear();
        } else if self.stall.is_clear() {
            self.stall.start(now, self.write_timeout);
        }
        ended.map(|_| ())
    }

    /// Throws away input that the peer sends after our end, so that the close does not reset bytes
    /// that it has not read yet (RFC 9112, 9.6). Returns the time until which to go on, if the peer
    /// has not ended. With an `until` that has come, one read decides.
    pub(crate) fn poll_linger(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        until: Instant,
        spare: &Buffers,
    ) -> Poll<Option<Instant>> {
        self.input = BytesMut::new();
        let mut waste = spare.take();
        let read = poll_read_buf(&mut self.io, cx, &mut waste);
        waste.clear();
        spare.give(waste);
        if read.is_pending() && until <= now {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(read) {
            Ok(count) if count > 0 && until <= now => Some(now + LINGER),
            Ok(count) if count > 0 => Some(until),
            _ => None,
        })
    }
}
