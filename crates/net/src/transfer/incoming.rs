//! `Incoming`: a request's body on its way from the stream to the exchange. The peer's window opens
//! again as the application takes the bytes, not before.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::stream_io::StreamIo;
use crate::exchange::{Exchange, SPOOL_THRESHOLD, Unspooled};

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

    /// True if any of the body has come, or all of it.
    pub(super) fn has_begun(&self) -> bool {
        self.received > 0 || self.is_complete
    }

    /// Bytes that have come.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// The time at which a piece of the body came last.
    pub(super) fn last_data_at(&self) -> Instant {
        self.last_data_at
    }

    /// Moves received pieces to the exchange, as far as that has room.
    ///
    /// # Errors
    /// When the stream is broken, or the body cannot be kept.
    pub(super) fn forward<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        exchange: &Arc<Exchange>,
        intake: Intake,
    ) -> Result<(), Broken> {
        while !self.is_complete && intake.takes_more(exchange) {
            match io.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(data)) => {
                    let data = data.map_err(|_| Broken::Stream)?;
                    self.last_data_at = intake.now;
                    self.received += data.len();
                    if let Aim::Spool { limit } = intake.aim {
                        exchange
                            .spool_body(data, limit)
                            .map_err(Broken::Unspooled)?;
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
        let held = match intake.aim {
            Aim::Stream => self.held,
            // The rest is waited for, so the window opens whatever is held.
            Aim::Spool { .. } | Aim::Gather => 0,
        };
        self.release(io, held);
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
    pub(super) aim: Aim,
    pub(super) now: Instant,
}

/// The bounds of a body that is taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// So many bytes, of which the larger part goes to a file.
    Spool { limit: u64 },
    /// `SPOOL_THRESHOLD`: it is held in memory until it is whole.
    Gather,
    /// The exchange's window: the application reads it as it comes.
    Stream,
}

impl Intake {
    fn takes_more(self, exchange: &Exchange) -> bool {
        match self.aim {
            Aim::Spool { .. } => true,
            Aim::Gather => exchange.body_held() <= SPOOL_THRESHOLD,
            Aim::Stream => exchange.has_body_room(),
        }
    }
}

/// The reason why no more of a body can be taken in.
pub(super) enum Broken {
    Stream,
    /// The body is to be whole, and too large for that.
    Unspooled(Unspooled),
}
