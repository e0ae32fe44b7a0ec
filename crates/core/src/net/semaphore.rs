//! `Semaphore`: how many exchanges may be active at once, and the line of those that wait.
//!
//! A permit that is given back belongs to the first in line from that moment on. If it were merely
//! free, whoever comes along before the first in line runs would take it: a peer that pipelines
//! would keep all others waiting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// One worker's permits.
pub(super) struct Semaphore(Rc<Line>);

struct Line {
    limit: usize,
    /// Permits that are taken or promised.
    taken: Cell<usize>,
    waiting: RefCell<VecDeque<Weak<Waiting>>>,
    /// Those in line who have not left it.
    present: Cell<usize>,
}

impl Semaphore {
    pub(super) fn new(limit: usize) -> Self {
        Self(Rc::new(Line {
            limit,
            taken: Cell::new(0),
            waiting: RefCell::default(),
            present: Cell::new(0),
        }))
    }

    /// Takes a permit, or waits in line for one.
    pub(super) fn poll_acquire(&self, cx: &mut Context<'_>, ticket: &mut Ticket) -> Poll<()> {
        if let Some(waiting) = &ticket.0 {
            if !waiting.is_called.replace(false) {
                return Poll::Pending;
            }
            ticket.0 = None;
            return Poll::Ready(());
        }
        if self.0.taken.get() < self.0.limit {
            self.0.taken.set(self.0.taken.get() + 1);
            return Poll::Ready(());
        }
        let waiting = Rc::new(Waiting {
            waker: cx.waker().clone(),
            is_called: Cell::new(false),
            line: Rc::clone(&self.0),
        });
        self.0.queue(&waiting);
        ticket.0 = Some(waiting);
        Poll::Pending
    }

    /// Gives a permit back.
    pub(super) fn release(&self) {
        self.0.pass_on();
    }
}

impl Line {
    fn queue(&self, waiting: &Rc<Waiting>) {
        let mut line = self.waiting.borrow_mut();
        self.present.set(self.present.get() + 1);
        if line.len() >= 2 * self.present.get() + SPARE {
            // Most have left the line since.
            line.retain(|other| other.strong_count() > 0);
        }
        line.push_back(Rc::downgrade(waiting));
    }

    /// A permit was given back: the first in line that is still there gets it.
    fn pass_on(&self) {
        loop {
            let Some(next) = self.waiting.borrow_mut().pop_front() else {
                return self.taken.set(self.taken.get().saturating_sub(1));
            };
            if let Some(next) = next.upgrade() {
                next.is_called.set(true);
                return next.waker.wake_by_ref();
            }
        }
    }
}

/// A place in the line; given up when dropped.
#[derive(Default)]
pub(crate) struct Ticket(Option<Rc<Waiting>>);

struct Waiting {
    waker: Waker,
    /// A permit is kept for it.
    is_called: Cell<bool>,
    line: Rc<Line>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.line.present.set(self.line.present.get() - 1);
        if self.is_called.get() {
            self.line.pass_on();
        }
    }
}

/// So many that have left are not worth the search.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Peer {
        ticket: Ticket,
        wakes: Arc<Count>,
    }

    impl Peer {
        fn has_permit(&mut self, semaphore: &Semaphore) -> bool {
            let waker = Waker::from(Arc::clone(&self.wakes));
            let mut cx = Context::from_waker(&waker);
            semaphore.poll_acquire(&mut cx, &mut self.ticket).is_ready()
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }
    }

    /// The first has the only permit, the others wait for it.
    fn line() -> (Semaphore, [Peer; 3]) {
        let semaphore = Semaphore::new(1);
        let mut peers = <[Peer; 3]>::default();
        assert!(peers[0].has_permit(&semaphore));
        assert!(!peers[1].has_permit(&semaphore));
        assert!(!peers[2].has_permit(&semaphore));
        (semaphore, peers)
    }

    #[test]
    fn permits_are_given_in_the_order_of_arrival() {
        let (semaphore, [mut first, mut second, mut third]) = line();
        semaphore.release();
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        assert!(!first.has_permit(&semaphore), "it is the second one's");
        assert!(second.has_permit(&semaphore));
        semaphore.release();
        assert!(third.has_permit(&semaphore));
        semaphore.release();
        assert!(first.has_permit(&semaphore));
    }

    #[test]
    fn a_permit_outlives_those_who_leave() {
        let (semaphore, [mut first, second, third]) = line();
        semaphore.release();
        drop(second); // called, and gone before it came
        assert_eq!(third.wakes(), 1);
        drop(third);
        assert!(first.has_permit(&semaphore), "there is nobody left in line");
    }

    #[test]
    fn the_line_does_not_grow_with_those_who_have_left_it() {
        let semaphore = Semaphore::new(0);
        for _ in 0..10_000 {
            assert!(!Peer::default().has_permit(&semaphore));
        }
        assert!(semaphore.0.waiting.borrow().len() <= SPARE + 2);
    }
}
