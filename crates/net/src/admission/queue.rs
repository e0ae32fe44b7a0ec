//! `Queue`: bounds the requests that run at once, and keeps the order in which the others wait.
//!
//! A permit that is given back belongs to the first in the queue from that moment on. If it were
//! merely free, a request that comes before the first one is polled would take it: a peer that
//! pipelines would keep all others waiting.
//!
//! A permit is free while fewer than 16 requests that started in the last 20–40 ms are unfinished.
//! Beyond that the adaptive limit decides: a request waits for it as long as others end, 200 ms at
//! most, and 20–30 ms if none ends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::admission::adaptive::AdaptiveLimit;

/// One worker's permits, and the requests that wait for them.
pub struct Queue(Rc<Shared>);

struct Shared {
    /// All permits.
    limit: usize,
    adaptive: AdaptiveLimit,
    /// Permits that are taken or promised.
    taken: Cell<usize>,
    /// Permits taken in the present epoch, and in the one before.
    young: Cell<[usize; 2]>,
    epoch: Cell<u32>,
    /// The start of the epoch.
    began: Cell<Instant>,
    /// The last return of a permit while a request waited.
    returned: Cell<Instant>,
    /// The last known time: of the last request, and of the patrol while any waits.
    now: Cell<Instant>,
    waiting: RefCell<VecDeque<Weak<Waiting>>>,
    /// Entries of `waiting` that have not given up.
    present: Cell<usize>,
    /// Wakes the task that calls [`Queue::patrol`].
    patrol: RefCell<Option<Waker>>,
    /// The patrol was woken, or has a deadline.
    is_patrolled: Cell<bool>,
}

/// The permission of one request to run; its drop gives it back.
pub(crate) struct Permit {
    queue: Rc<Shared>,
    epoch: u32,
}

impl Queue {
    /// `limit` permits, as far as the adaptive limit lets them be taken.
    pub(crate) fn new(limit: usize, adaptive: AdaptiveLimit) -> Self {
        let now = Instant::now();
        Self(Rc::new(Shared {
            limit,
            adaptive,
            taken: Cell::new(0),
            young: Cell::new([0; 2]),
            epoch: Cell::new(0),
            began: Cell::new(now),
            returned: Cell::new(now),
            now: Cell::new(now),
            waiting: RefCell::default(),
            present: Cell::new(0),
            patrol: RefCell::new(None),
            is_patrolled: Cell::new(false),
        }))
    }

    /// Takes a permit, or waits for one at `place`.
    pub(crate) fn poll_acquire(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
        now: Instant,
    ) -> Poll<Permit> {
        if let Some(waiting) = &place.0 {
            return match waiting.permit.take() {
                Some(permit) => {
                    place.0 = None;
                    Poll::Ready(permit)
                }
                None => Poll::Pending,
            };
        }
        let queue = &self.0;
        if queue.taken.get() < ENOUGH.min(queue.limit) {
            return Poll::Ready(queue.take());
        }
        queue.now.set(now);
        queue.advance();
        if queue.follow_load() {
            return Poll::Ready(queue.take());
        }
        let waiting = Rc::new(Waiting {
            waker: cx.waker().clone(),
            is_called: Cell::new(false),
            permit: Cell::new(None),
            since: now,
            queue: Rc::clone(queue),
        });
        queue.push(&waiting);
        place.0 = Some(waiting);
        Poll::Pending
    }

    /// Gives permits to the requests that have waited for long enough. Returns the time of the next
    /// call; `cx` is woken if that changes. One task of the worker calls it.
    pub fn patrol(&self, cx: &mut Context<'_>, now: Instant) -> Option<Instant> {
        let queue = &self.0;
        queue.patrol.replace(Some(cx.waker().clone()));
        queue.now.set(now);
        queue.advance();
        queue.is_patrolled.set(queue.needs_patrol());
        queue.is_patrolled.get().then(|| now + LONGEST_STALL / 2)
    }
}

impl Shared {
    /// Begins a new epoch if one is over, and has the adaptive limit follow the load where it
    /// decides. True if a permit is free.
    fn follow_load(&self) -> bool {
        let now = self.now.get();
        if self.taken.get() >= self.limit {
            return false;
        }
        self.turn_epoch(now);
        let [these, those] = self.young.get();
        these + those < ENOUGH || self.adaptive.follow(now, self.present.get() > 0)
    }

    fn turn_epoch(&self, now: Instant) {
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
    }

    fn take(self: &Rc<Self>) -> Permit {
        self.taken.set(self.taken.get() + 1);
        let [these, those] = self.young.get();
        self.young.set([these + 1, those]);
        Permit {
            queue: Rc::clone(self),
            epoch: self.epoch.get(),
        }
    }

    fn push(&self, waiting: &Rc<Waiting>) {
        let mut queue = self.waiting.borrow_mut();
        self.present.set(self.present.get() + 1);
        if queue.len() >= 2 * self.present.get() + SPARE {
            // Most entries have given up.
            queue.retain(|other| other.strong_count() > 0);
        }
        queue.push_back(Rc::downgrade(waiting));
        drop(queue);
        self.call_patrol();
    }

    /// A request that waits because all permits are taken gets the next one that is given back;
    /// any other needs the time to be looked at.
    fn needs_patrol(&self) -> bool {
        self.present.get() > 0 && self.taken.get() < self.limit
    }

    fn call_patrol(&self) {
        if !self.needs_patrol() || self.is_patrolled.get() {
            return;
        }
        let patrol = self.patrol.borrow().clone();
        if let Some(patrol) = patrol {
            self.is_patrolled.set(true);
            patrol.wake();
        }
    }

    /// Gives permits to the first in the queue, as far as there are any.
    fn advance(self: &Rc<Self>) {
        let now = self.now.get();
        while self.taken.get() < self.limit
            && let Some(first) = self.first()
            && (self.has_waited_long(&first, now) || self.follow_load())
        {
            self.waiting.borrow_mut().pop_front();
            self.present.set(self.present.get() - 1);
            first.is_called.set(true);
            first.permit.set(Some(self.take()));
            first.waker.wake_by_ref();
        }
    }

    fn has_waited_long(&self, first: &Waiting, now: Instant) -> bool {
        let stalled = first.since.max(self.returned.get());
        stalled + LONGEST_STALL <= now || first.since + LONGEST_WAIT <= now
    }

    /// The first entry of the queue that has not given up.
    fn first(&self) -> Option<Rc<Waiting>> {
        let mut queue = self.waiting.borrow_mut();
        loop {
            match queue.front()?.upgrade() {
                Some(first) => return Some(first),
                None => queue.pop_front(),
            };
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let queue = &self.queue;
        queue.taken.set(queue.taken.get().saturating_sub(1));
        let age = queue.epoch.get().wrapping_sub(self.epoch);
        let mut young = queue.young.get();
        if let Some(count) = young.get_mut(age as usize) {
            *count = count.saturating_sub(1);
            queue.young.set(young);
        }
        if queue.present.get() > 0 {
            queue.returned.set(queue.now.get());
            queue.advance();
            queue.call_patrol();
        }
    }
}

/// A place in the queue; its drop gives it up.
#[derive(Default)]
pub(crate) struct Place(Option<Rc<Waiting>>);

struct Waiting {
    waker: Waker,
    /// The place has left the queue with a permit, which is kept for it.
    is_called: Cell<bool>,
    permit: Cell<Option<Permit>>,
    since: Instant,
    queue: Rc<Shared>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_called.get() {
            self.queue.present.set(self.queue.present.get() - 1);
        }
    }
}

/// Running requests that are enough to keep a process busy (fastapi-sync with 64 connections: 132 µs
/// with 16, 159 µs without a limit). With 8 there is not always one that can go on (138 µs); with 32
/// most of the gain is gone (145 µs).
const ENOUGH: usize = 16;
/// Length of an epoch. A request that has run for one or two epochs does not count, since a long
/// request mostly waits for something.
const EPOCH: Duration = Duration::from_millis(20);
/// Longest wait of the first request while none ends, up to the grain of the loop's timers.
const LONGEST_STALL: Duration = Duration::from_millis(20);
/// Longest wait of a request while others end. Where more requests wait than end in that time, a bound
/// of 20 ms costs more than it gains: fastapi-sync with 1,024 clients 354 µs, 322 µs without a limit,
/// and 176 µs with 200 ms (`python -m benches.mechanisms`, over veth).
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Stale entries from which the queue is searched for them.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::admission::adaptive::tests::{limit, work};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Peer {
        place: Place,
        permit: Option<Permit>,
        wakes: Arc<Count>,
    }

    impl Peer {
        fn gets(&mut self, queue: &Queue) -> bool {
            let waker = Waker::from(Arc::clone(&self.wakes));
            let mut cx = Context::from_waker(&waker);
            let now = queue.0.now.get();
            let permit = queue.poll_acquire(&mut cx, &mut self.place, now);
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
    fn full() -> (Queue, [Peer; 3]) {
        let queue = Queue::new(1, AdaptiveLimit::new(None));
        let mut peers = <[Peer; 3]>::default();
        assert!(peers[0].gets(&queue));
        assert!(!peers[1].gets(&queue));
        assert!(!peers[2].gets(&queue));
        (queue, peers)
    }

    #[test]
    fn permits_are_given_in_the_order_of_arrival() {
        let (queue, [mut first, mut second, mut third]) = full();
        first.gives_back();
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        assert!(!first.gets(&queue), "it is the second one's");
        assert!(second.gets(&queue));
        second.gives_back();
        assert!(third.gets(&queue));
        third.gives_back();
        assert!(first.gets(&queue));
    }

    #[test]
    fn a_permit_outlives_those_who_leave() {
        let (queue, [mut first, second, third]) = full();
        first.gives_back();
        drop(second); // called, and gone before it came
        assert_eq!(third.wakes(), 1);
        drop(third);
        assert!(first.gets(&queue), "no request is left");
    }

    #[test]
    fn the_queue_does_not_grow_with_those_that_have_left_it() {
        let queue = Queue::new(0, AdaptiveLimit::new(None));
        for _ in 0..10_000 {
            assert!(!Peer::default().gets(&queue));
        }
        assert!(queue.0.waiting.borrow().len() <= SPARE + 2);
    }

    /// A process that keeps one processor busy, and so many peers.
    fn crowd<const COUNT: usize>() -> (Queue, [Peer; COUNT]) {
        let queue = Queue::new(LIMIT, limit());
        queue.0.now.set(work(Duration::ZERO, 1.0, 1.0));
        while queue.0.adaptive.follow(queue.0.now.get(), false) {
            pass(&queue, EPOCH);
        }
        queue.0.began.set(queue.0.now.get());
        (queue, std::array::from_fn(|_| Peer::default()))
    }

    /// One that counts how often it is called.
    fn counted() -> (impl Fn() -> usize, Waker) {
        let calls = Arc::new(Count::default());
        let patrol = Waker::from(Arc::clone(&calls));
        (move || calls.0.load(Ordering::Relaxed), patrol)
    }

    /// Lets time pass, in which one processor is busy.
    fn pass(queue: &Queue, time: Duration) -> Option<Instant> {
        patrol_after(queue, time, Waker::noop())
    }

    fn patrol_after(queue: &Queue, time: Duration, patrol: &Waker) -> Option<Instant> {
        let now = work(time, 1.0, 1.0);
        queue.patrol(&mut Context::from_waker(patrol), now)
    }

    const LIMIT: usize = 50;

    #[test]
    fn a_busy_process_has_a_few_active_ones() {
        let (queue, mut peers) = crowd::<{ ENOUGH + 2 }>();
        let [active @ .., next, last] = &mut peers;
        assert!(active.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!next.gets(&queue));
        assert!(!last.gets(&queue));
        active[0].gives_back();
        assert_eq!((next.wakes(), last.wakes()), (1, 0));
        assert!(next.gets(&queue));
    }

    #[test]
    fn what_lasts_does_not_count_among_the_active_ones() {
        let (queue, mut peers) = crowd::<{ 2 * ENOUGH + 1 }>();
        let (lasting, others) = peers.split_at_mut(ENOUGH);
        assert!(lasting.iter_mut().all(|peer| peer.gets(&queue)));
        pass(&queue, EPOCH - LONGEST_STALL / 2);
        assert!(!others[0].gets(&queue));
        pass(&queue, LONGEST_STALL / 2);
        assert!(!others[0].gets(&queue), "the epoch is just over");
        pass(&queue, EPOCH);
        let (last, others) = others.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!last.gets(&queue));
        lasting[0].gives_back();
        assert!(!last.gets(&queue));
        others[0].gives_back();
        assert!(last.gets(&queue));
    }

    #[test]
    fn nobody_waits_for_long_but_for_the_limit() {
        let (queue, mut peers) = crowd::<{ LIMIT + 1 }>();
        let active = peers
            .iter_mut()
            .filter_map(|peer| peer.gets(&queue).then_some(()));
        assert_eq!(active.count(), ENOUGH);
        assert!(pass(&queue, LONGEST_STALL / 2).is_some());
        assert_eq!(
            pass(&queue, LONGEST_STALL / 2),
            None,
            "the limit is reached"
        );
        let (last, others) = peers.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!last.gets(&queue));
        others[0].gives_back();
        others[1].gives_back();
        pass(&queue, LONGEST_STALL);
        assert!(last.gets(&queue));
    }

    #[test]
    fn while_others_end_a_request_waits_longer() {
        let (queue, mut peers) = crowd::<LIMIT>();
        let (active, others) = peers.split_at_mut(ENOUGH);
        assert!(active.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(others.iter_mut().all(|peer| !peer.gets(&queue)));
        let (last, others) = others.split_last_mut().unwrap();
        for (one, next) in active.iter_mut().zip(others).take(6) {
            pass(&queue, LONGEST_STALL / 4);
            one.gives_back();
            assert!(next.gets(&queue));
        }
        assert_eq!(last.wakes(), 0);
        pass(&queue, LONGEST_STALL - Duration::from_nanos(1));
        assert_eq!(last.wakes(), 0);
        pass(&queue, Duration::from_nanos(1));
        assert!(last.gets(&queue), "none has ended for long");
    }

    #[test]
    fn that_has_an_end_too() {
        let (queue, mut peers) = crowd::<{ ENOUGH + 1 }>();
        assert_eq!(
            peers
                .iter_mut()
                .filter_map(|peer| peer.gets(&queue).then_some(()))
                .count(),
            ENOUGH
        );
        let [.., last] = &peers;
        let (waiting, start) = (last.place.0.as_ref().unwrap(), queue.0.now.get());
        let end = start + LONGEST_WAIT;
        queue.0.returned.set(end);
        assert!(
            !queue
                .0
                .has_waited_long(waiting, end - Duration::from_nanos(1))
        );
        assert!(queue.0.has_waited_long(waiting, end));
    }

    #[test]
    fn the_patrol_is_called_whenever_one_waits() {
        let (queue, mut peers) = crowd::<{ ENOUGH + 2 }>();
        let (calls, patrol) = counted();
        assert_eq!(patrol_after(&queue, Duration::ZERO, &patrol), None);
        let [active @ .., next, last] = &mut peers;
        assert!(active.iter_mut().all(|peer| peer.gets(&queue)));
        assert_eq!(calls(), 0);
        assert!(!next.gets(&queue));
        assert_eq!(calls(), 1);
        assert!(patrol_after(&queue, Duration::ZERO, &patrol).is_some());
        // Called, and not there yet: the queue is empty.
        active[0].gives_back();
        assert_eq!(patrol_after(&queue, Duration::ZERO, &patrol), None);
        assert!(!last.gets(&queue));
        assert_eq!(calls(), 2);
        assert!(next.gets(&queue));
    }

    #[test]
    fn a_full_queue_needs_no_patrol_until_a_permit_is_back() {
        let (queue, mut peers) = crowd::<{ LIMIT + 3 }>();
        let (calls, patrol) = counted();
        let (last, others) = peers.split_at_mut(LIMIT);
        for peer in last.iter_mut() {
            peer.gets(&queue);
        }
        patrol_after(&queue, LONGEST_STALL, &patrol);
        assert!(last.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(others.iter_mut().all(|peer| !peer.gets(&queue)));
        assert_eq!(patrol_after(&queue, Duration::ZERO, &patrol), None);
        assert_eq!(calls(), 0);
        last[LIMIT - 1].gives_back();
        assert_eq!(calls(), 1);
    }

    #[test]
    fn in_an_idle_process_nobody_waits_but_for_the_limit() {
        let queue = Queue::new(LIMIT, limit());
        let mut peers: [Peer; LIMIT] = std::array::from_fn(|_| Peer::default());
        assert!(peers.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!Peer::default().gets(&queue));
    }
}
