//! `Semaphore`: how many exchanges may be active at once, and the line of those that wait.
//!
//! A permit that is given back belongs to the first in line from that moment on. If it were merely
//! free, whoever comes along before the first in line runs would take it: a peer that pipelines
//! would keep all others waiting.
//!
//! When a few have begun of late and are not done, more are begun as the gate lets them, and none
//! waits long for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::admission::adaptive::Gate;

/// One worker's permits.
pub(crate) struct Semaphore(Rc<Line>);

struct Line {
    limit: usize,
    gate: Gate,
    /// Permits that are taken or promised.
    taken: Cell<usize>,
    /// Those of them that are of the present epoch, and of the one before.
    young: Cell<[usize; 2]>,
    epoch: Cell<u32>,
    /// When the epoch has begun. A new one begins when somebody wants to know.
    began: Cell<Instant>,
    /// The time that was told last: by who waits, and by the keeper while anybody does.
    now: Cell<Instant>,
    waiting: RefCell<VecDeque<Weak<Waiting>>>,
    /// Those in line who have not left it.
    present: Cell<usize>,
    /// Who looks after the line when nobody gives anything back, and whether he knows of it.
    keeper: RefCell<Option<Waker>>,
    is_kept: Cell<bool>,
}

/// To be active; given back when dropped.
pub(crate) struct Permit {
    line: Rc<Line>,
    epoch: u32,
}

impl Semaphore {
    pub(crate) fn new(limit: usize, gate: Gate) -> Self {
        let now = Instant::now();
        Self(Rc::new(Line {
            limit,
            gate,
            taken: Cell::new(0),
            young: Cell::new([0; 2]),
            epoch: Cell::new(0),
            began: Cell::new(now),
            now: Cell::new(now),
            waiting: RefCell::default(),
            present: Cell::new(0),
            keeper: RefCell::new(None),
            is_kept: Cell::new(false),
        }))
    }

    /// Takes a permit, or waits in line for one.
    pub(crate) fn poll_acquire(
        &self,
        cx: &mut Context<'_>,
        ticket: &mut Ticket,
        now: Instant,
    ) -> Poll<Permit> {
        if let Some(waiting) = &ticket.0 {
            return match waiting.permit.take() {
                Some(permit) => {
                    ticket.0 = None;
                    Poll::Ready(permit)
                }
                None => Poll::Pending,
            };
        }
        let line = &self.0;
        if line.taken.get() < ENOUGH.min(line.limit) {
            return Poll::Ready(line.permit());
        }
        line.now.set(now);
        line.advance();
        if line.has_permit() {
            return Poll::Ready(line.permit());
        }
        let waiting = Rc::new(Waiting {
            waker: cx.waker().clone(),
            is_called: Cell::new(false),
            permit: Cell::new(None),
            since: now,
            line: Rc::clone(line),
        });
        line.queue(&waiting);
        ticket.0 = Some(waiting);
        Poll::Pending
    }

    /// Lets those go on who have waited for long enough, and says when to call it again; `cx` is
    /// woken when that changes.
    pub(crate) fn tend(&self, cx: &mut Context<'_>, now: Instant) -> Option<Instant> {
        let line = &self.0;
        line.keeper.replace(Some(cx.waker().clone()));
        line.now.set(now);
        line.advance();
        line.is_kept.set(line.needs_keeper());
        line.is_kept.get().then(|| now + LONGEST_WAIT / 2)
    }
}

impl Line {
    /// True if there is a permit for one who has just come.
    fn has_permit(&self) -> bool {
        let now = self.now.get();
        if self.taken.get() >= self.limit {
            return false;
        }
        let passed = now.saturating_duration_since(self.began.get());
        if passed >= EPOCH {
            let [these, _] = self.young.get();
            let (step, those) = if passed < 2 * EPOCH {
                (1, these)
            } else {
                (2, 0)
            };
            self.began.set(now);
            self.epoch.set(self.epoch.get().wrapping_add(step));
            self.young.set([0, those]);
        }
        let [these, those] = self.young.get();
        these + those < ENOUGH || self.gate.is_open(now, self.present.get() > 0)
    }

    fn permit(self: &Rc<Self>) -> Permit {
        self.taken.set(self.taken.get() + 1);
        let [these, those] = self.young.get();
        self.young.set([these + 1, those]);
        Permit {
            line: Rc::clone(self),
            epoch: self.epoch.get(),
        }
    }

    fn queue(&self, waiting: &Rc<Waiting>) {
        let mut line = self.waiting.borrow_mut();
        self.present.set(self.present.get() + 1);
        if line.len() >= 2 * self.present.get() + SPARE {
            // Most have left the line since.
            line.retain(|other| other.strong_count() > 0);
        }
        line.push_back(Rc::downgrade(waiting));
        drop(line);
        self.call_keeper();
    }

    /// Who waits for the limit waits for others to give something back.
    fn needs_keeper(&self) -> bool {
        self.present.get() > 0 && self.taken.get() < self.limit
    }

    fn call_keeper(&self) {
        if !self.needs_keeper() || self.is_kept.get() {
            return;
        }
        let keeper = self.keeper.borrow().clone();
        if let Some(keeper) = keeper {
            self.is_kept.set(true);
            keeper.wake();
        }
    }

    /// Gives permits to those that are first in line, as far as there are any.
    fn advance(self: &Rc<Self>) {
        let now = self.now.get();
        while self.taken.get() < self.limit
            && let Some(first) = self.first()
            && (first.since + LONGEST_WAIT <= now || self.has_permit())
        {
            self.waiting.borrow_mut().pop_front();
            self.present.set(self.present.get() - 1);
            first.is_called.set(true);
            first.permit.set(Some(self.permit()));
            first.waker.wake_by_ref();
        }
    }

    /// The first in line that is still there.
    fn first(&self) -> Option<Rc<Waiting>> {
        let mut line = self.waiting.borrow_mut();
        loop {
            match line.front()?.upgrade() {
                Some(first) => return Some(first),
                None => line.pop_front(),
            };
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let line = &self.line;
        line.taken.set(line.taken.get().saturating_sub(1));
        let age = line.epoch.get().wrapping_sub(self.epoch);
        let mut young = line.young.get();
        if let Some(count) = young.get_mut(age as usize) {
            *count = count.saturating_sub(1);
            line.young.set(young);
        }
        if line.present.get() > 0 {
            line.advance();
            line.call_keeper();
        }
    }
}

/// A place in the line; given up when dropped.
#[derive(Default)]
pub(crate) struct Ticket(Option<Rc<Waiting>>);

struct Waiting {
    waker: Waker,
    /// It has left the line with a permit, which is kept for it.
    is_called: Cell<bool>,
    permit: Cell<Option<Permit>>,
    since: Instant,
    line: Rc<Line>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_called.get() {
            self.line.present.set(self.line.present.get() - 1);
        }
    }
}

/// Active exchanges that keep a process busy, if any do. With 8 there is not always one that can go
/// on (138 µs in the gate's measurement), with 32 most of the gain is gone (145).
const ENOUGH: usize = 16;
/// Who has been active for longer than this, or twice this, does not count among them: what lasts is
/// mostly waiting for something.
const EPOCH: Duration = Duration::from_millis(20);
/// How long one waits for the gate, give or take the grain of the loop's timers.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// So many that have left are not worth the search.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::admission::adaptive::tests::{gate, work};

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
        permit: Option<Permit>,
        wakes: Arc<Count>,
    }

    impl Peer {
        fn gets(&mut self, semaphore: &Semaphore) -> bool {
            let waker = Waker::from(Arc::clone(&self.wakes));
            let mut cx = Context::from_waker(&waker);
            let now = semaphore.0.now.get();
            let permit = semaphore.poll_acquire(&mut cx, &mut self.ticket, now);
            if let Poll::Ready(permit) = permit {
                self.permit = Some(permit);
            }
            self.permit.is_some()
        }

        fn gives_back(&mut self) {
            assert!(self.permit.take().is_some());
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }
    }

    /// The first has the only permit, the others wait for it.
    fn line() -> (Semaphore, [Peer; 3]) {
        let semaphore = Semaphore::new(1, Gate::new(None));
        let mut peers = <[Peer; 3]>::default();
        assert!(peers[0].gets(&semaphore));
        assert!(!peers[1].gets(&semaphore));
        assert!(!peers[2].gets(&semaphore));
        (semaphore, peers)
    }

    #[test]
    fn permits_are_given_in_the_order_of_arrival() {
        let (semaphore, [mut first, mut second, mut third]) = line();
        first.gives_back();
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        assert!(!first.gets(&semaphore), "it is the second one's");
        assert!(second.gets(&semaphore));
        second.gives_back();
        assert!(third.gets(&semaphore));
        third.gives_back();
        assert!(first.gets(&semaphore));
    }

    #[test]
    fn a_permit_outlives_those_who_leave() {
        let (semaphore, [mut first, second, third]) = line();
        first.gives_back();
        drop(second); // called, and gone before it came
        assert_eq!(third.wakes(), 1);
        drop(third);
        assert!(first.gets(&semaphore), "there is nobody left in line");
    }

    #[test]
    fn the_line_does_not_grow_with_those_who_have_left_it() {
        let semaphore = Semaphore::new(0, Gate::new(None));
        for _ in 0..10_000 {
            assert!(!Peer::default().gets(&semaphore));
        }
        assert!(semaphore.0.waiting.borrow().len() <= SPARE + 2);
    }

    /// A process that keeps one processor busy, and so many peers.
    fn crowd<const COUNT: usize>() -> (Semaphore, [Peer; COUNT]) {
        let semaphore = Semaphore::new(LIMIT, gate());
        semaphore.0.now.set(work(Duration::ZERO, 1.0, 1.0));
        while semaphore.0.gate.is_open(semaphore.0.now.get(), false) {
            pass(&semaphore, EPOCH);
        }
        semaphore.0.began.set(semaphore.0.now.get());
        (semaphore, std::array::from_fn(|_| Peer::default()))
    }

    /// One that counts how often it is called.
    fn keeper() -> (impl Fn() -> usize, Waker) {
        let calls = Arc::new(Count::default());
        let keeper = Waker::from(Arc::clone(&calls));
        (move || calls.0.load(Ordering::Relaxed), keeper)
    }

    /// Lets time pass, in which one processor is busy.
    fn pass(semaphore: &Semaphore, time: Duration) -> Option<Instant> {
        tend(semaphore, time, Waker::noop())
    }

    fn tend(semaphore: &Semaphore, time: Duration, keeper: &Waker) -> Option<Instant> {
        let now = work(time, 1.0, 1.0);
        semaphore.tend(&mut Context::from_waker(keeper), now)
    }

    const LIMIT: usize = 50;

    #[test]
    fn a_busy_process_has_a_few_active_ones() {
        let (semaphore, mut peers) = crowd::<{ ENOUGH + 2 }>();
        let [active @ .., next, last] = &mut peers;
        assert!(active.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert!(!next.gets(&semaphore));
        assert!(!last.gets(&semaphore));
        active[0].gives_back();
        assert_eq!((next.wakes(), last.wakes()), (1, 0));
        assert!(next.gets(&semaphore));
    }

    #[test]
    fn what_lasts_does_not_count_among_the_active_ones() {
        let (semaphore, mut peers) = crowd::<{ 2 * ENOUGH + 1 }>();
        let (lasting, others) = peers.split_at_mut(ENOUGH);
        assert!(lasting.iter_mut().all(|peer| peer.gets(&semaphore)));
        pass(&semaphore, EPOCH - LONGEST_WAIT / 2);
        assert!(!others[0].gets(&semaphore));
        pass(&semaphore, LONGEST_WAIT / 2);
        assert!(!others[0].gets(&semaphore), "the epoch is just over");
        pass(&semaphore, EPOCH);
        let (last, others) = others.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert!(!last.gets(&semaphore));
        lasting[0].gives_back();
        assert!(!last.gets(&semaphore));
        others[0].gives_back();
        assert!(last.gets(&semaphore));
    }

    #[test]
    fn nobody_waits_for_long_but_for_the_limit() {
        let (semaphore, mut peers) = crowd::<{ LIMIT + 1 }>();
        let active = peers
            .iter_mut()
            .filter_map(|peer| peer.gets(&semaphore).then_some(()));
        assert_eq!(active.count(), ENOUGH);
        assert!(pass(&semaphore, LONGEST_WAIT / 2).is_some());
        assert_eq!(
            pass(&semaphore, LONGEST_WAIT / 2),
            None,
            "the limit is reached"
        );
        let (last, others) = peers.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert!(!last.gets(&semaphore));
        others[0].gives_back();
        others[1].gives_back();
        pass(&semaphore, LONGEST_WAIT);
        assert!(last.gets(&semaphore));
    }

    #[test]
    fn the_keeper_knows_whenever_somebody_waits() {
        let (semaphore, mut peers) = crowd::<{ ENOUGH + 2 }>();
        let (calls, keeper) = keeper();
        assert_eq!(tend(&semaphore, Duration::ZERO, &keeper), None);
        let [active @ .., next, last] = &mut peers;
        assert!(active.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert_eq!(calls(), 0);
        assert!(!next.gets(&semaphore));
        assert_eq!(calls(), 1);
        assert!(tend(&semaphore, Duration::ZERO, &keeper).is_some());
        // Called, and not there yet: the line is empty.
        active[0].gives_back();
        assert_eq!(tend(&semaphore, Duration::ZERO, &keeper), None);
        assert!(!last.gets(&semaphore));
        assert_eq!(calls(), 2);
        assert!(next.gets(&semaphore));
    }

    #[test]
    fn who_waits_for_the_limit_needs_no_keeper_until_it_is_not_reached() {
        let (semaphore, mut peers) = crowd::<{ LIMIT + 3 }>();
        let (calls, keeper) = keeper();
        let (last, others) = peers.split_at_mut(LIMIT);
        for peer in last.iter_mut() {
            peer.gets(&semaphore);
        }
        tend(&semaphore, LONGEST_WAIT, &keeper);
        assert!(last.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert!(others.iter_mut().all(|peer| !peer.gets(&semaphore)));
        assert_eq!(tend(&semaphore, Duration::ZERO, &keeper), None);
        assert_eq!(calls(), 0);
        last[LIMIT - 1].gives_back();
        assert_eq!(calls(), 1);
    }

    #[test]
    fn in_an_idle_process_nobody_waits_but_for_the_limit() {
        let semaphore = Semaphore::new(LIMIT, gate());
        let mut peers: [Peer; LIMIT] = std::array::from_fn(|_| Peer::default());
        assert!(peers.iter_mut().all(|peer| peer.gets(&semaphore)));
        assert!(!Peer::default().gets(&semaphore));
    }
}
