//! `SendRoom`: the bound on bytes of an application that are on their way to its peer, and the
//! wakers that wait for room. Every queue that an application sends into has one.

use std::task::{Context, Poll, Waker};

use super::permit::Awaited;
use super::{Exchange, Over, State};
use crate::runtime::waker::{lock, register, wake_all};

/// A queue that an application sends into.
pub trait HasRoom: Send + Sync {
    /// Ready when more may be sent within bounds, or nobody takes anything any more.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// True when more may be sent within bounds, or nobody takes anything any more.
    fn has_room(&self) -> bool;

    /// Drops `waker`, whose wait was cancelled.
    fn forget(&self, waker: &Waker);
}

/// See the module's documentation.
pub(crate) struct SendRoom {
    /// Bytes that may be under way before the application has to wait.
    window: usize,
    /// Bytes that the connection has not taken over.
    queued: usize,
    /// Bytes taken over by the connection and not yet by the socket.
    unsent: usize,
    /// The connection cannot pass on what it has: the peer takes none of it for now.
    is_stuck: bool,
    /// Nothing goes out any more, so no application has to wait.
    is_closed: bool,
    waiters: Vec<Waker>,
}

impl SendRoom {
    /// Room for about `window` bytes.
    pub(crate) fn new(window: usize) -> Self {
        Self {
            window,
            queued: 0,
            unsent: 0,
            is_stuck: false,
            is_closed: false,
            waiters: Vec::new(),
        }
    }

    /// Bytes that have not left.
    pub(super) fn bytes(&self) -> usize {
        self.queued + self.unsent
    }

    /// True when more may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.is_closed || self.bytes() < self.window
    }

    /// True when more than twice the window waits for the connection: the application does not wait
    /// for room.
    pub(crate) fn is_overrun(&self) -> bool {
        !self.is_closed && self.queued >= 2 * self.window
    }

    /// Ready when more may be sent.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        register(&mut self.waiters, cx);
        Poll::Pending
    }

    /// Notes `bytes` more that wait for the connection.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.queued += bytes;
    }

    /// Notes `bytes` less that wait for the connection.
    pub(crate) fn subtract(&mut self, bytes: usize) {
        self.queued = self.queued.saturating_sub(bytes);
    }

    /// Notes that the bytes which the connection has not taken over were taken back.
    pub(crate) fn retract(&mut self) {
        self.queued = 0;
    }

    /// Notes that the connection takes over all queued bytes.
    pub(crate) fn hand_over(&mut self) {
        self.unsent += std::mem::take(&mut self.queued);
    }

    /// Notes that `unsent` bytes of the connection wait for the socket. Returns the wakers to wake.
    #[must_use]
    pub(crate) fn set_unsent(&mut self, unsent: usize) -> Vec<Waker> {
        self.unsent = unsent;
        self.is_stuck = unsent > 0;
        if self.waiters.is_empty() || !self.is_open() {
            return Vec::new();
        }
        std::mem::take(&mut self.waiters)
    }

    /// True if the application waits for the peer, not for the connection to take over what it has sent.
    fn is_peer_awaited(&self) -> bool {
        self.is_stuck && !self.waiters.is_empty()
    }

    /// Notes that nothing goes out any more. Returns the wakers to wake.
    #[must_use]
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        std::mem::take(&mut self.waiters)
    }

    /// Drops `waker`, whose wait was cancelled.
    pub(crate) fn forget(&mut self, waker: &Waker) {
        self.waiters.retain(|waiter| !waiter.will_wake(waker));
    }
}

/// See [`Exchange::outlet`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outlet {
    /// There is room for another reply.
    Open,
    /// Another reply would have to wait.
    Full,
    /// The peer is gone or has its whole answer, and another reply is dropped.
    Gone,
}

/// The application's side.
impl Exchange {
    /// The fate of another reply.
    pub fn outlet(&self) -> Outlet {
        let state = lock(&self.state);
        match state.over {
            // The head may have been all of the response that goes out.
            Some(over) if over != Over::Answered || !state.answered => Outlet::Gone,
            _ if state.room.is_open() => Outlet::Open,
            _ => Outlet::Full,
        }
    }

    /// Bytes of the response that have not left.
    pub fn waiting(&self) -> usize {
        lock(&self.state).room.bytes()
    }

    /// True when so many replies wait that the application can't be waiting for room.
    pub fn is_overrun(&self) -> bool {
        lock(&self.state).room.is_overrun()
    }
}

/// The connection's side.
impl Exchange {
    /// Notes that `unsent` bytes of this exchange wait for the socket.
    pub fn set_unsent(&self, unsent: usize) {
        let waiters = {
            let mut state = lock(&self.state);
            let waiters = state.room.set_unsent(unsent);
            state.note_room_wait();
            waiters
        };
        wake_all(waiters);
    }

    /// Notes that the socket takes nothing for now, though it may be other exchanges' bytes that wait for it.
    pub(crate) fn set_stuck(&self) {
        let mut state = lock(&self.state);
        state.room.is_stuck = true;
        state.note_room_wait();
    }
}

impl State {
    fn note_room_wait(&mut self) {
        self.permit.set_waiting(self.room.bytes());
        let is_awaited = self.room.is_peer_awaited();
        self.permit.set(Awaited::Room, is_awaited);
    }

    pub(super) fn forget_room(&mut self, waker: &Waker) {
        self.room.forget(waker);
        self.note_room_wait();
    }
}

impl HasRoom for Exchange {
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        let polled = state.room.poll_open(cx);
        state.note_room_wait();
        polled
    }

    fn has_room(&self) -> bool {
        lock(&self.state).room.is_open()
    }

    fn forget(&self, waker: &Waker) {
        lock(&self.state).forget_room(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn is_ready(room: &mut SendRoom, waker: &Waker) -> bool {
        room.poll_open(&mut Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn what_is_queued_and_what_is_unsent_count_together() {
        let waker = Waker::from(Arc::new(Nobody));
        let mut room = SendRoom::new(100);
        room.add(60);
        assert!(room.is_open());
        room.hand_over();
        room.add(39);
        assert!(room.is_open());
        room.add(1);
        assert!(!room.is_open() && !is_ready(&mut room, &waker));
        assert!(room.set_unsent(60).is_empty(), "nothing has become less");
        assert_eq!(room.set_unsent(59).len(), 1);
        assert!(is_ready(&mut room, &waker));
        room.retract();
        assert!(room.is_open());
        room.hand_over();
        assert!(room.set_unsent(0).is_empty(), "nobody waits");
    }

    #[test]
    fn who_does_not_wait_overruns() {
        let mut room = SendRoom::new(100);
        room.add(199);
        assert!(!room.is_overrun());
        room.add(1);
        assert!(room.is_overrun());
        room.hand_over();
        assert!(!room.is_overrun(), "the connection has taken it");
        room.add(500);
        assert!(room.close().is_empty());
        assert!(!room.is_overrun() && room.is_open());
    }

    #[test]
    fn the_end_lets_everybody_go() {
        let (one, other) = (Waker::from(Arc::new(Nobody)), Waker::from(Arc::new(Nobody)));
        let mut room = SendRoom::new(1);
        room.add(1);
        for waker in [&one, &one, &other] {
            assert!(!is_ready(&mut room, waker));
        }
        assert_eq!(room.close().len(), 2, "each once, however often it asks");
        assert!(is_ready(&mut room, &one));
    }

    #[test]
    fn a_wait_that_was_cancelled_is_not_kept() {
        let waker = Waker::from(Arc::new(Nobody));
        let mut room = SendRoom::new(1);
        room.add(1);
        assert!(!is_ready(&mut room, &waker));
        room.forget(&waker);
        assert!(room.close().is_empty());
    }
}
