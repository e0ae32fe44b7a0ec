//! `Incoming`: a request's body on its way from the codec to the exchange. The peer's window opens
//! again as the application takes the bytes, not before.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use h2::RecvStream;

use crate::exchange::Exchange;

pub(super) struct Incoming {
    stream: RecvStream,
    received: usize,
    released: usize,
    discarded: usize,
    /// Bytes that the exchange held when this was last looked at.
    held: usize,
    is_complete: bool,
    last: Instant,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream, now: Instant) -> Self {
        Self {
            is_complete: stream.is_end_stream(),
            stream,
            received: 0,
            released: 0,
            discarded: 0,
            held: 0,
            last: now,
        }
    }

    /// The stream itself, if nothing of it was moved.
    pub(super) fn into_stream(self) -> RecvStream {
        self.stream
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// When something of the body came last.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Moves what has come, `spools` if all of it and to a file. False if the stream is broken.
    pub(super) fn forward(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Arc<Exchange>,
        spools: bool,
        now: Instant,
    ) -> bool {
        while !self.is_complete && (spools || exchange.has_body_room()) {
            match self.stream.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(data))) => {
                    self.last = now;
                    self.received += data.len();
                    if spools {
                        if exchange.spool_body(data).is_err() {
                            return false; // no room on the disk: nothing can be promised
                        }
                    } else if !data.is_empty() {
                        exchange.push_body(data);
                    }
                }
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(None) => {
                    // Fields behind the body have no place in any of the interfaces.
                    self.is_complete = true;
                    exchange.end_body();
                }
            }
        }
        self.held = exchange.body_held();
        self.release(if spools { 0 } else { self.held });
        true
    }

    /// True if the application has taken something since: there may be room for more.
    pub(super) fn is_behind(&self, exchange: &Arc<Exchange>) -> bool {
        self.held > 0 && exchange.body_held() < self.held
    }

    /// Throws away what has come. False when the body is complete or broken, or after `limit` bytes.
    pub(super) fn discard(&mut self, cx: &mut Context<'_>, limit: usize) -> bool {
        while let Poll::Ready(data) = self.stream.poll_data(cx) {
            let Some(Ok(data)) = data else {
                return false;
            };
            self.received += data.len();
            self.discarded += data.len();
            if self.discarded > limit {
                return false;
            }
        }
        self.release(0);
        true
    }

    /// Opens the window for all that has come but the `held` bytes.
    fn release(&mut self, held: usize) {
        let taken = self.received.saturating_sub(held);
        if taken > self.released {
            // Fails only for a stream that is closed, whose window nobody needs.
            let _ = self
                .stream
                .flow_control()
                .release_capacity(taken - self.released);
            self.released = taken;
        }
    }
}
