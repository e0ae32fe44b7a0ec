//! `Incoming`: a request's body on its way from the stream to the exchange. The peer's window opens
//! again as the application takes the bytes, not before.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::stream_io::StreamIo;
use granian_proto::Pace;

use crate::budget::Budget;
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
    /// Bytes that may be received; `None` for any number.
    limit: Option<u64>,
    /// The declared length exceeds it.
    is_too_large: bool,
    pub(super) pace: Pace,
}

impl Incoming {
    /// A body that is complete from the start, or of which nothing has come.
    pub(super) fn new(is_complete: bool, limit: Option<u64>) -> Self {
        Self {
            is_complete,
            limit,
            is_too_large: false,
            pace: Pace::default(),
            received: 0,
            released: 0,
            discarded: 0,
            held: 0,
        }
    }

    /// The request declares a body of this length.
    pub(super) fn declare(&mut self, length: u64) {
        self.is_too_large = self.limit.is_some_and(|limit| length > limit);
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

    /// Moves received pieces to the exchange, as far as that has room.
    ///
    /// # Errors
    /// When the stream is broken, the body too large, or cannot be kept.
    pub(super) fn forward<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        exchange: &Arc<Exchange>,
        intake: Intake<'_>,
    ) -> Result<(), Broken> {
        if self.is_too_large {
            return Err(Broken::TooLarge);
        }
        let mut is_untold = false;
        while !self.is_complete && intake.takes_more(exchange) {
            match io.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(data)) => {
                    let data = data.map_err(|_| Broken::Stream)?;
                    self.pace.note(intake.now, data.len());
                    self.received += data.len();
                    if self.limit.is_some_and(|limit| self.received as u64 > limit) {
                        return Err(Broken::TooLarge);
                    }
                    if let Aim::Spool { limit } = intake.aim {
                        exchange
                            .spool_body(data, limit, intake.spools)
                            .map_err(Broken::Unspooled)?;
                    } else if !data.is_empty() {
                        is_untold = exchange.push_body(data);
                    }
                }
                Poll::Ready(None) => {
                    // Fields behind the body have no place in any of the interfaces.
                    self.is_complete = true;
                    exchange.end_body();
                }
            }
        }
        if is_untold {
            exchange.tell_body();
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
pub(super) struct Intake<'a> {
    /// The bytes that files of bodies may have together.
    pub(super) spools: &'a Budget,
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

impl Intake<'_> {
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
    /// It has more bytes than a body may have.
    TooLarge,
    /// The body is to be whole, and too large for that.
    Unspooled(Unspooled),
}
