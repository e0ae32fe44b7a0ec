//! `Incoming`: a request's body on its way from the stream to the exchange. The peer's window opens
//! again as the application takes the bytes, not before.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::stream_io::StreamIo;
use crate::exchange::Exchange;

/// See the module's documentation. All counts are bytes.
pub(super) struct Incoming {
    received: usize,
    /// Bytes that the window was opened again for.
    released: usize,
    discarded: usize,
    /// Bytes that the exchange held when this was last looked at.
    held: usize,
    is_complete: bool,
    last_data_at: Instant,
}

impl Incoming {
    /// A body that is complete from the start, or of which nothing has come.
    pub(super) fn new(is_complete: bool, now: Instant) -> Self {
        Self {
            is_complete,
            received: 0,
            released: 0,
            discarded: 0,
            held: 0,
            last_data_at: now,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The time at which a piece of the body came last.
    pub(super) fn last_data_at(&self) -> Instant {
        self.last_data_at
    }

    /// Moves received pieces to the exchange, as far as that has room.
    ///
    /// # Errors
    /// When the stream is broken, or the file cannot be written.
    pub(super) fn forward<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        exchange: &Arc<Exchange>,
        intake: Intake,
    ) -> io::Result<()> {
        while !self.is_complete && (intake.spools || exchange.has_body_room()) {
            match io.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(data)) => {
                    let data = data?;
                    self.last_data_at = intake.now;
                    self.received += data.len();
                    if intake.spools {
                        // With no room on the disk nothing can be promised.
                        exchange.spool_body(data)?;
                    } else if !data.is_empty() {
                        exchange.push_body(data);
                    }
                }
                Poll::Ready(None) => {
                    // Fields behind the body have no place in any of the interfaces.
                    self.is_complete = true;
                    exchange.end_body();
                }
            }
        }
        self.held = exchange.body_held();
        self.release(io, if intake.spools { 0 } else { self.held });
        Ok(())
    }

    /// True if the application has taken something since `forward`: there may be room for more.
    pub(super) fn is_behind(&self, exchange: &Arc<Exchange>) -> bool {
        self.held > 0 && exchange.body_held() < self.held
    }

    /// Throws away received pieces. Ready when the body is complete or broken, or after `limit` bytes.
    pub(super) fn poll_discard<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        limit: usize,
    ) -> Poll<()> {
        while let Poll::Ready(data) = io.poll_data(cx) {
            let Some(Ok(data)) = data else {
                return Poll::Ready(());
            };
            self.received += data.len();
            self.discarded += data.len();
            if self.discarded > limit {
                return Poll::Ready(());
            }
        }
        self.release(io, 0);
        Poll::Pending
    }

    /// Opens the window for all received bytes but `held` ones.
    fn release<S: StreamIo>(&mut self, io: &mut S, held: usize) {
        let taken = self.received.saturating_sub(held);
        if taken > self.released {
            io.open_window(taken - self.released);
            self.released = taken;
        }
    }
}

/// How a body is taken in.
#[derive(Clone, Copy)]
pub(super) struct Intake {
    /// All of it at once, the larger part of it to a file.
    pub(super) spools: bool,
    pub(super) now: Instant,
}
