//! Responses that a `Source` makes piece by piece on the connection's thread: when it is asked for more, and for
//! how long its pieces gather.

use std::time::{Duration, Instant};

use super::Connection;
use crate::exchange::app::Source;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    /// Asks the source of the current response for more, if the stream takes more. Not outside a
    /// turn: it may run Python code.
    pub(super) fn pull(&mut self) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        let Some(mut source) = current.source.take() else {
            return false;
        };
        let takes_more = self.output.is_empty() || self.pull_deadline.is_some();
        let pulls = takes_more && self.service.app.may_start();
        if !pulls || self.pull_from(&mut *source) {
            if let Some(current) = &mut self.current {
                current.source = Some(source);
            }
        } else {
            self.pull_deadline = None;
        }
        pulls
    }

    /// What is queued is lent to the early writer while the source computes.
    fn pull_from(&mut self, source: &mut dyn Source) -> bool {
        let Some(socket) = self.io.socket() else {
            return source.pull();
        };
        let Some(queued) = self.output.take() else {
            return source.pull();
        };
        if queued.is_empty() {
            return source.pull();
        }
        let loan = self.service.early.lend(socket, queued);
        let more = source.pull();
        let (queued, sent) = loan.take_back();
        self.output.restore(queued, sent);
        more
    }

    /// A source's pieces gather for a moment; see `early`.
    pub(super) fn gathers_pieces(&mut self) -> bool {
        let has_source = self
            .current
            .as_ref()
            .is_some_and(|current| current.source.is_some());
        // What can't be lent to the early writer must not wait for the application.
        let is_lendable = self.io.socket().is_some() && self.output.is_in_one_buffer();
        if !has_source || !is_lendable || self.output.len() >= GATHER {
            self.pull_deadline = None;
            return false;
        }
        let now = Instant::now();
        let deadline = *self.pull_deadline.get_or_insert(now + GATHER_TIME);
        if now >= deadline {
            self.pull_deadline = None;
        }
        now < deadline
    }
}

/// How much and how long a source's pieces gather before they are written.
const GATHER: usize = 32 * 1024;
const GATHER_TIME: Duration = Duration::from_millis(1);
