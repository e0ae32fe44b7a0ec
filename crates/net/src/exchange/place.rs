//! `Place`: where a request is, and so whom it waits for.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use super::{Exchange, Over};
use crate::runtime::waker::lock;

/// Where a request is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It waits for the client to send its body: before the application is called, or as the application reads.
    Body,
    /// It waits for its turn: as many requests run as may.
    Queue,
    /// The application was called, and has not answered.
    Application,
    /// The answer waits for the client to take it.
    Send,
}

/// The facts of that which other threads may read.
#[derive(Default)]
pub(super) struct Progress {
    stage: AtomicU8,
    /// One more than its place in the list of calls that the side of the application has; 0 while it is not there.
    listed: AtomicUsize,
    /// The thread that runs the application for this request, as Python counts them; 0 if none does.
    thread: AtomicU64,
    /// See [`Exchange::is_evicted`].
    pub(super) is_evicted: AtomicBool,
}

impl Exchange {
    /// The request has all of its body that is waited for.
    pub(crate) fn set_queued(&self) {
        self.progress.stage.store(QUEUED, Ordering::Relaxed);
    }

    /// The application is called.
    pub(crate) fn set_called(&self) {
        self.progress.stage.store(CALLED, Ordering::Relaxed);
    }

    /// The side of the application lists this exchange among its calls, at `key`, from now on until `end_call`.
    pub fn list(&self, key: usize) {
        let listed = key.wrapping_add(1);
        self.progress.listed.store(listed, Ordering::Relaxed);
    }

    /// The call has ended.
    pub(super) fn unlist(&self) {
        self.progress.listed.store(0, Ordering::Relaxed);
    }

    /// True while the side of the application lists it.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed().is_some()
    }

    /// Its place in that list.
    pub fn listed(&self) -> Option<usize> {
        self.progress.listed.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The thread of this number runs the application for this request from now on.
    pub fn set_thread(&self, number: u64) {
        self.progress.thread.store(number, Ordering::Relaxed);
    }

    /// The number of that thread, if one does.
    pub fn thread(&self) -> Option<u64> {
        Some(self.progress.thread.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }

    /// Where the request is.
    pub fn place(&self) -> Place {
        match self.progress.stage.load(Ordering::Relaxed) {
            HELD => return Place::Body,
            QUEUED => return Place::Queue,
            _ => {}
        }
        let state = lock(&self.state);
        let has_left = matches!(state.over, Some(Over::Disconnected));
        if state.answered && !has_left {
            Place::Send
        } else if !state.body_waiters.is_empty() {
            Place::Body
        } else if !state.room.is_open() {
            Place::Send
        } else {
            Place::Application
        }
    }
}

const HELD: u8 = 0;
const QUEUED: u8 = 1;
const CALLED: u8 = 2;

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::testing::exchange;

    #[test]
    fn every_step_has_its_place() {
        let exchange = exchange(true, 1000);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(exchange.place(), Place::Body);
        exchange.set_queued();
        assert_eq!(exchange.place(), Place::Queue);
        exchange.set_called();
        assert_eq!(exchange.place(), Place::Application);
        assert!(exchange.poll_body(&mut cx, &mut false).is_pending());
        assert_eq!(exchange.place(), Place::Body);
        exchange.push_body(Bytes::from_static(b"hello"));
        assert_eq!(exchange.place(), Place::Application);
        exchange.start(200);
        exchange.piece(vec![0; 2000], false);
        assert_eq!(exchange.place(), Place::Send);
        exchange.finish(Over::Disconnected);
        assert_eq!(exchange.place(), Place::Application);
    }

    #[test]
    fn an_answer_that_has_not_left_waits_for_the_client() {
        let exchange = exchange(false, 1000);
        exchange.set_called();
        exchange.answer(200, b"hello");
        assert_eq!(exchange.place(), Place::Send);
        assert_eq!(exchange.thread(), None);
        exchange.set_thread(7);
        assert_eq!(exchange.thread(), Some(7));
    }
}
