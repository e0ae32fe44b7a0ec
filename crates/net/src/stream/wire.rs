//! `Wire`: what every connection owns of its socket: the stream, what has come and was not used, what waits to
//! leave, and the clock of a peer that takes none of it. Knows no protocol.

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
    /// What has come and was not used.
    pub(crate) input: BytesMut,
    /// What waits to leave.
    pub(crate) output: Output,
    stall: Stall,
    /// How long the peer may take nothing of the output.
    write_timeout: Duration,
    /// Bytes in memory that waited when that was last told.
    unsent: usize,
}

/// What one step of a drive loop came to.
pub(crate) enum Step {
    /// Another step may follow.
    Again,
    /// Only an event, a reply or a deadline leads on.
    Wait,
}

impl<S: Stream> Wire<S> {
    /// The wire of `io`, whose peer has `write_timeout` to take something of what waits.
    pub(crate) fn new(io: S, input: BytesMut, output: Output, write_timeout: Duration) -> Self {
        Self {
            io,
            input,
            output,
            stall: Stall::default(),
            write_timeout,
            unsent: 0,
        }
    }

    /// Gives up the stream and what it holds.
    pub(crate) fn into_parts(self) -> (S, BytesMut, Output) {
        (self.io, self.input, self.output)
    }

    /// Reads once, behind what has come; 0 at the stream's end. A connection that waits for more keeps no empty
    /// buffer.
    ///
    /// # Errors
    /// What the stream says.
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

    /// Writes what the stream takes. If what waits is the `last`, the stream's end follows at once.
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
                    self.stall.follow(Some(now), self.write_timeout);
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

    /// True while the stream takes nothing of what waits.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.stall.is_clear()
    }

    /// How many bytes wait in memory, if the application's side may know another number. Once all have left that
    /// is always told: meanwhile more may have come and gone.
    pub(crate) fn take_unsent(&mut self) -> Option<usize> {
        let unsent = self.output.len();
        let before = std::mem::replace(&mut self.unsent, unsent);
        (unsent != before || unsent == 0).then_some(unsent)
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

    /// Ends our side, once everything has left. What fails is told by the stream's next read.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        if ended.is_ready() {
            self.stall.clear();
        } else if self.stall.is_clear() {
            self.stall.follow(Some(now), self.write_timeout);
        }
        ended.map(|_| ())
    }

    /// Throws away what the peer still sends after our end, so that closing does not reset what it has not read yet
    /// (RFC 9112, 9.6). Until when to go on, if that was not all; with an `until` that has come, one look tells.
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
