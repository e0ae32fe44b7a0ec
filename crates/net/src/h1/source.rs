//! Responses that a `Source` makes piece by piece on the connection's thread: the times of its
//! pulls, and the gathering of its pieces.

use std::time::{Duration, Instant};

use super::Connection;
use super::slot::{Current, Slot};
use crate::exchange::app::Source;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    /// Asks the source of the current response for more, if the stream takes more. Not outside a
    /// turn: it may run Python code.
    pub(super) fn pull(&mut self) -> bool {
        let Slot::Running(current) = &mut self.slot else {
            return false;
        };
        let Some(mut pulled) = current.source.take() else {
            return false;
        };
        let takes_more = self.wire.output.is_empty() || pulled.gathers_until.is_some();
        current.exchange.set_pull_awaited(!takes_more);
        let pulls = takes_more && pulled.source.is_ready() && self.service.app.may_start();
        let goes_on = !pulls || self.pull_from(&mut *pulled.source);
        if goes_on && let Slot::Running(current) = &mut self.slot {
            current.source = Some(pulled);
        }
        pulls
    }

    /// Lends the queued bytes to the early writer while the source computes.
    fn pull_from(&mut self, source: &mut dyn Source) -> bool {
        let Some(socket) = self.wire.io.socket() else {
            return source.pull();
        };
        let Some(queued) = self.wire.output.take() else {
            return source.pull();
        };
        if queued.is_empty() {
            return source.pull();
        }
        let loan = self.service.early.lend(socket, queued);
        let more = source.pull();
        let (queued, sent) = loan.take_back();
        self.wire.output.restore(queued, sent);
        more
    }

    /// Begins or ends the time for which a source's pieces gather; see `early`.
    pub(super) fn step_gathering(&mut self) {
        let Slot::Running(Current {
            source: Some(pulled),
            ..
        }) = &mut self.slot
        else {
            return;
        };
        // Bytes that cannot be lent to the early writer leave first: they must not wait for the
        // application.
        let is_lendable = self.service.limits.mechanisms.early_writes
            && self.wire.io.socket().is_some()
            && self.wire.output.is_in_one_buffer();
        if !is_lendable || self.wire.output.len() >= GATHER {
            pulled.gathers_until = None;
            return;
        }
        let now = Instant::now();
        let until = pulled.gathers_until.unwrap_or(now + GATHER_TIME);
        pulled.gathers_until = (now < until).then_some(until);
    }
}

/// Bytes that a source's pieces gather to, and the time that they gather for.
const GATHER: usize = 32 * 1024;
const GATHER_TIME: Duration = Duration::from_millis(1);
