//! `Room`: how many bytes of bodies the transfers of a connection may hand to the protocol. What the socket has no room
//! for stays where it is, a file on its disk and an application's bytes in its exchange: handed over, it would be in
//! memory for as long as the peer reads slowly, once for each stream.

use std::cell::{Cell, OnceCell, RefCell};
use std::task::{Context, Waker};

use crate::runtime::waker::{register, wake_all};

/// See the module's documentation. Without a bound, until there is a socket to ask.
#[derive(Default)]
pub(crate) struct Room {
    /// Bytes that may be handed over.
    left: Cell<usize>,
    /// Bytes that were, in this step of the connection.
    used: Cell<usize>,
    /// Most bytes for one transfer in a step.
    portion: Cell<usize>,
    /// The socket is full, or has been asked in this step.
    is_final: Cell<bool>,
    /// Tells how much the socket takes behind what waits for it.
    socket: OnceCell<Box<dyn Fn() -> usize>>,
    /// Transfers that have got nothing in the last step, and those that have got a portion.
    empty: RefCell<Vec<Waker>>,
    served: RefCell<Vec<Waker>>,
}

impl Room {
    /// Asks `socket` from now on, which tells how many bytes it takes behind those that wait for it.
    pub(crate) fn ask(&self, socket: impl Fn() -> usize + 'static) {
        let _ = self.socket.set(Box::new(socket)); // once for each connection
    }

    /// Begins a step of the connection, which has handed on all that it was given: `waiting` bytes wait for the socket,
    /// `None` if it is full. So many `transfers` share the room.
    pub(crate) fn open(&self, waiting: Option<usize>, transfers: usize) {
        self.used.set(0);
        self.is_final.set(waiting.is_none());
        let Some(waiting) = waiting else {
            return self.left.set(0);
        };
        self.left
            .set(self.left.get().max(UNASKED.saturating_sub(waiting)));
        self.portion
            .set((STEP / transfers.max(1)).max(LEAST_PORTION));
    }

    /// Takes up to `wanted` bytes. If there is no room, or the transfer has had its portion, `cx` is woken when there is
    /// more.
    pub(crate) fn take(&self, cx: &mut Context<'_>, wanted: usize, had: usize) -> usize {
        let Some(socket) = self.socket.get() else {
            return wanted;
        };
        let wanted = wanted.min(self.portion.get().saturating_sub(had));
        if self.left.get() < wanted && !self.is_final.replace(true) {
            self.left.set(socket().saturating_sub(self.used.get()));
        }
        let left = self.left.get().min(STEP.saturating_sub(self.used.get()));
        let taken = wanted.min(left);
        match taken {
            0 if had > 0 => register(&mut self.served.borrow_mut(), cx),
            0 => register(&mut self.empty.borrow_mut(), cx),
            _ => {
                self.left.set(self.left.get() - taken);
                self.used.set(self.used.get() + taken);
            }
        }
        taken
    }

    /// Gives back what was taken and not handed over.
    pub(crate) fn give(&self, taken: usize) {
        self.left.set(self.left.get().saturating_add(taken));
        self.used.set(self.used.get().saturating_sub(taken));
    }

    /// True if bytes were handed over in this step.
    pub(crate) fn is_used(&self) -> bool {
        self.used.get() > 0
    }

    /// True if transfers wait for room.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.empty.borrow().is_empty() || !self.served.borrow().is_empty()
    }

    /// Wakes the transfers that wait, those first that have got nothing.
    pub(crate) fn wake(&self) {
        if self.is_awaited() {
            wake_all(self.empty.take());
            wake_all(self.served.take());
        }
    }
}

/// Bytes that leave without a question to the socket, which costs a system call.
const UNASKED: usize = 16 * 1024;
/// Most bytes of one step: they are in memory until its end.
const STEP: usize = 256 * 1024;
/// Bytes of one transfer in a step, however many there are: a frame.
const LEAST_PORTION: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Order(AtomicUsize);

    struct Transfer(Arc<Order>, AtomicUsize);

    impl Wake for Transfer {
        fn wake(self: Arc<Self>) {
            let place = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.1.store(place, Ordering::SeqCst);
        }
    }

    fn room(socket: usize) -> (Room, Rc<Cell<usize>>) {
        let room = Room::default();
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        room.ask(move || {
            count.set(count.get() + 1);
            socket
        });
        (room, asked)
    }

    #[test]
    fn small_bodies_leave_without_a_question() {
        let (room, asked) = room(100_000);
        let mut cx = Context::from_waker(Waker::noop());
        room.open(Some(0), 1);
        assert_eq!(room.take(&mut cx, 10_000, 0), 10_000);
        assert_eq!(asked.get(), 0);
        assert_eq!(room.take(&mut cx, 10_000, 0), 10_000);
        assert_eq!(asked.get(), 1);
        assert_eq!(room.take(&mut cx, 200_000, 10_000), 80_000);
        assert_eq!(room.take(&mut cx, 200_000, 90_000), 0);
        assert_eq!(asked.get(), 1, "once in a step");
        assert!(room.is_awaited());
    }

    #[test]
    fn a_full_socket_takes_nothing_and_is_not_asked() {
        let (room, asked) = room(100_000);
        let mut cx = Context::from_waker(Waker::noop());
        room.open(None, 1);
        assert_eq!(room.take(&mut cx, 1, 0), 0);
        assert_eq!(asked.get(), 0);
    }

    #[test]
    fn what_was_not_handed_over_is_given_back() {
        let (room, _) = room(20_000);
        let mut cx = Context::from_waker(Waker::noop());
        room.open(Some(0), 1);
        assert_eq!(room.take(&mut cx, 50_000, 0), 20_000);
        room.give(20_000);
        assert_eq!(room.take(&mut cx, 50_000, 0), 20_000);
    }

    #[test]
    fn those_that_got_nothing_are_first() {
        let (room, _) = room(100_000);
        let order = Arc::<Order>::default();
        let make = || Arc::new(Transfer(Arc::clone(&order), AtomicUsize::new(0)));
        let (first, second) = (make(), make());
        room.open(Some(0), 100);
        let waker = Waker::from(Arc::clone(&first));
        let mut cx = Context::from_waker(&waker);
        assert_eq!(room.take(&mut cx, 100_000, 0), LEAST_PORTION);
        assert_eq!(room.take(&mut cx, 100_000, LEAST_PORTION), 0);
        room.open(None, 100);
        let waker = Waker::from(Arc::clone(&second));
        assert_eq!(room.take(&mut Context::from_waker(&waker), 100_000, 0), 0);
        room.wake();
        assert_eq!(first.1.load(Ordering::SeqCst), 2);
        assert_eq!(second.1.load(Ordering::SeqCst), 1);
    }
}
