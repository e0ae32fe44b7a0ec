//! `Queue`: bounds the requests that run at once, and keeps the order in which the others wait.
//!
//! size: permits, epochs and the line are one state behind one lock.
//!
//! A permit belongs to one call of the application until that ends, be its peer there or gone. While the call waits
//! for nothing but its peer, the permit is lent to others. It is reclaimed at once, over the limit if need be: a call
//! that had to wait for its permit could hold what others with permits wait for.
//!
//! A permit that is given back belongs to the first in the queue from that moment on. If it were
//! merely free, a request that comes before the first one is polled would take it: a peer that
//! pipelines would keep all others waiting.
//!
//! Connections take turns: one request of each waits in the line, its others behind that one. The wait of a client with
//! one request does not grow with those that another one sends at once. A connection that runs behind the others
//! (`runtime/reactor.rs`) is patient: it may be some time in coming for its permit. So the adaptive limit counts those
//! apart, and lets half as many of them start.
//!
//! A permit is free while fewer than 16 requests (8 of patient connections) that started in the last 20–40 ms are unfinished.
//! Beyond that the adaptive limit decides: a request waits for it as long as others end, 200 ms at
//! most, and 20–30 ms if none ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::admission::adaptive::AdaptiveLimit;
use crate::admission::counts::{Counts, Holder};
use crate::admission::pace::{By, Pace};
use crate::budget::Budget;
use crate::runtime::waker::{lock, thread_token, wake};

/// One worker's permits, and the requests that wait for them. Clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    /// All permits.
    limit: usize,
    /// Permits that the requests of one connection hold at most.
    share: usize,
    /// Calls at most, those included whose permits are lent.
    calls: usize,
    /// The thread of the connections, see `thread_token`, where permits depend on its load: only it gives them then.
    home: Option<usize>,
    /// For bytes that wait for the peers of calls whose permits are lent, or given back.
    waiting: Budget,
    /// The lock is for the connections' threads and those that calls end on; it is held for a few moves.
    state: Mutex<State>,
}

struct State {
    adaptive: AdaptiveLimit,
    /// Bounds the calls of a turn, if anything does.
    pace: Option<Pace>,
    counts: Counts,
    /// The last return of a permit while a request waited.
    returned: Instant,
    /// The last known time: of the last request, and of the patrol while any waits.
    now: Instant,
    waiting: VecDeque<Weak<Waiting>>,
    /// Entries of `waiting` that have not given up.
    present: usize,
    /// Wakes the task that calls [`Queue::patrol`].
    patrol: Option<Waker>,
    /// The patrol was woken, or has a deadline.
    is_patrolled: bool,
}

/// The requests of one connection. A connection that carries many has one.
#[derive(Default)]
pub(crate) struct Share {
    /// Permits that they hold.
    held: Arc<AtomicUsize>,
    /// The connection's task runs behind others.
    is_patient: AtomicBool,
    /// Those that wait, the one in the line included.
    waiting: AtomicUsize,
    /// Those that wait behind that one, in their order.
    behind: Mutex<VecDeque<Weak<Waiting>>>,
}

/// The permission of one request to run; its drop gives it back, on any thread.
pub(crate) struct Permit {
    queue: Arc<Shared>,
    holder: Holder,
    is_lent: bool,
    /// Its call counts among those that the pace lets begin.
    is_paced: bool,
}

impl Queue {
    /// `limit` permits, as far as the adaptive limit lets them be taken.
    pub(crate) fn new(limit: usize, adaptive: AdaptiveLimit) -> Self {
        let now = Instant::now();
        let home = adaptive.has_load().then(thread_token);
        Self(Arc::new(Shared {
            limit,
            share: limit.saturating_sub((limit / RESERVED).max(1)).max(1),
            calls: limit.saturating_mul(CALLS_PER_PERMIT).max(LEAST_CALLS),
            home,
            waiting: Budget::new(MAX_WAITING),
            state: Mutex::new(State {
                adaptive,
                pace: None,
                counts: Counts::new(now),
                returned: now,
                now,
                waiting: VecDeque::new(),
                present: 0,
                patrol: None,
                is_patrolled: false,
            }),
        }))
    }

    /// No more calls begin in a turn than fill this time, or in a round of the application's thread.
    pub(crate) fn pace(&self, longest: Option<Duration>, by: By) {
        let mut state = lock(&self.0.state);
        state.pace = longest.map(|longest| Pace::new(longest, by, state.now));
    }

    /// True if [`Queue::end_round`] is to be called.
    pub(crate) fn asks_rounds(&self) -> bool {
        let state = lock(&self.0.state);
        state.pace.as_ref().is_some_and(Pace::is_by_rounds)
    }

    /// The application's thread has come back `time` after it began so many calls.
    pub(crate) fn end_round(&self, began: usize, time: Duration) {
        let mut state = lock(&self.0.state);
        if let Some(pace) = &mut state.pace {
            pace.follow(began, time);
        }
        self.0.call_next(state);
    }

    /// A permit beyond the limit.
    pub(crate) fn extra(&self) -> Permit {
        self.0.take(&mut lock(&self.0.state), None)
    }

    /// Takes a permit, or waits for one at `place`. `share` is that of the request's connection.
    pub(crate) fn poll_acquire(
        &self,
        cx: &mut Context<'_>,
        place: &mut Place,
        now: Instant,
        share: Option<&Arc<Share>>,
    ) -> Poll<Permit> {
        if let Some(waiting) = &place.0 {
            let Some(permit) = lock(&waiting.permit).take() else {
                return Poll::Pending;
            };
            place.0 = None;
            return Poll::Ready(permit);
        }
        let queue = &self.0;
        let mut state = lock(&queue.state);
        let has_share = share.is_none_or(|share| queue.has_share(share));
        let is_patient = share.is_some_and(|share| share.is_patient());
        let is_calm = state.present == 0 && state.counts.taken < enough_for(is_patient);
        if has_share && is_calm && queue.has_permit(&state) {
            return Poll::Ready(queue.take(&mut state, share));
        }
        state.now = now;
        let called = queue.advance(&mut state);
        if has_share && queue.follow_load(&mut state, is_patient) {
            let permit = queue.take(&mut state, share);
            drop(state);
            call(called);
            return Poll::Ready(permit);
        }
        let waiting = Arc::new(Waiting {
            waker: cx.waker().clone(),
            is_called: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            permit: Mutex::new(None),
            since: now,
            share: share.map(Arc::clone),
            queue: Arc::clone(queue),
        });
        let patrol = queue.push(&mut state, &waiting);
        drop(state);
        call(called);
        wake(patrol);
        place.0 = Some(waiting);
        Poll::Pending
    }

    /// Begins a turn of the reactor, for the bound on its calls, unless it is the present one.
    pub(crate) fn begin_turn(&self, turn: u64, now: Instant) {
        if let Some(pace) = &mut lock(&self.0.state).pace {
            pace.begin(turn, now);
        }
    }

    /// True if a request waits.
    pub(crate) fn has_line(&self) -> bool {
        lock(&self.0.state).present > 0
    }

    /// True if more than `most` requests wait for permits to be given back. Those that wait for the adaptive limit,
    /// which has permits, do not count.
    pub(crate) fn exceeds(&self, most: usize) -> bool {
        let state = lock(&self.0.state);
        state.counts.taken + state.present > self.0.limit.saturating_add(most)
    }

    /// Gives permits to the requests that have waited for long enough. Returns the time of the next
    /// call; `cx` is woken if that changes. One task of the worker calls it.
    pub fn patrol(&self, cx: &mut Context<'_>, now: Instant) -> Option<Instant> {
        let queue = &self.0;
        let (called, is_patrolled) = {
            let mut state = lock(&queue.state);
            state.patrol = Some(cx.waker().clone());
            state.now = now;
            let called = queue.advance(&mut state);
            state.is_patrolled = queue.needs_patrol(&state);
            if state.is_patrolled && state.is_next_turn_awaited() {
                cx.waker().wake_by_ref();
            }
            (called, state.is_patrolled)
        };
        call(called);
        is_patrolled.then(|| now + LONGEST_STALL / 2)
    }
}

impl Shared {
    /// Begins a new epoch if one is over, and has the adaptive limit follow the load where it
    /// decides. True if a permit is free, to a connection that is patient or to one that is not.
    fn follow_load(&self, state: &mut State, is_patient: bool) -> bool {
        if !self.has_permit(state) {
            return false;
        }
        let young = state.counts.young(state.now, is_patient);
        young < enough_for(is_patient) || state.adaptive.follow(state.now, state.present > 0)
    }

    /// True while there is a permit that is not taken, and a call may begin in this turn.
    fn has_permit(&self, state: &State) -> bool {
        self.has_free(state) && !state.is_turn_full()
    }

    /// True while there is a permit that is not taken.
    fn has_free(&self, state: &State) -> bool {
        state.counts.taken < self.limit && state.counts.calls < self.calls
    }

    fn has_share(&self, share: &Share) -> bool {
        share.held.load(Ordering::Relaxed) < self.share
    }

    fn take(self: &Arc<Self>, state: &mut State, share: Option<&Arc<Share>>) -> Permit {
        let pace = state.pace.as_mut();
        let is_paced = pace.is_some_and(Pace::note);
        Permit {
            queue: Arc::clone(self),
            holder: match share {
                Some(share) => state.counts.take(Some(&share.held), share.is_patient()),
                None => state.counts.take(None, false),
            },
            is_lent: false,
            is_paced,
        }
    }

    /// The waker to wake, if it is the patrol that this request waits for.
    fn push(&self, state: &mut State, waiting: &Arc<Waiting>) -> Option<Waker> {
        state.present += 1;
        let behind = waiting.share.as_ref().and_then(|share| share.enter());
        match behind {
            Some((mut behind, count)) => {
                waiting.is_behind.store(true, Ordering::Relaxed);
                append(&mut behind, count, waiting);
            }
            None => append(&mut state.waiting, state.present, waiting),
        }
        self.call_patrol(state)
    }

    /// A request that waits because all permits are taken gets the next one that is given back;
    /// any other needs the time to be looked at.
    fn needs_patrol(&self, state: &State) -> bool {
        state.present > 0 && self.has_free(state)
    }

    fn call_patrol(&self, state: &mut State) -> Option<Waker> {
        // The next turn lets calls begin, whenever the patrol was to come.
        let is_expected = state.is_patrolled && !state.is_next_turn_awaited();
        if !self.needs_patrol(state) || is_expected {
            return None;
        }
        let patrol = state.patrol.clone();
        state.is_patrolled = patrol.is_some();
        patrol
    }

    /// Gives permits to the first in the queue, as far as there are any. Returns these requests, to be called when the
    /// lock is free: one may have left by then, and its permit is given back.
    #[must_use]
    fn advance(self: &Arc<Self>, state: &mut State) -> Vec<Arc<Waiting>> {
        let mut called = Vec::new();
        while state.present > 0
            && self.has_permit(state)
            && let Some((at, first)) = self.first(state)
            && (state.has_waited_long(&first) || self.follow_load(state, first.is_patient()))
        {
            state.waiting.remove(at);
            state.leave(&first);
            first.is_called.store(true, Ordering::Relaxed);
            *lock(&first.permit) = Some(self.take(state, first.share.as_ref()));
            called.push(first);
        }
        called
    }

    /// Gives what was given back to those that wait.
    fn call_next(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.present == 0 {
            return;
        }
        state.returned = state.now;
        if self.home.is_none_or(|home| home == thread_token()) {
            let called = self.advance(&mut state);
            let patrol = self.call_patrol(&mut state);
            drop(state);
            call(called);
            wake(patrol);
        } else {
            state.is_patrolled = true;
            let patrol = state.patrol.clone();
            drop(state);
            wake(patrol);
        }
    }

    /// The first entry of the queue that has not given up, whose connection has not all of its share, and is not patient
    /// where those may start no more; and the entry's position.
    fn first(&self, state: &mut State) -> Option<(usize, Arc<Waiting>)> {
        let takes_all = self.follow_load(state, true);
        while state.waiting.front()?.strong_count() == 0 {
            state.waiting.pop_front();
        }
        state.waiting.iter().enumerate().find_map(|(at, entry)| {
            let entry = entry.upgrade()?;
            let share = entry.share.as_ref();
            let has_share = share.is_none_or(|share| self.has_share(share));
            let is_its_turn = takes_all || !entry.is_patient() || state.has_waited_long(&entry);
            (has_share && is_its_turn).then_some((at, entry))
        })
    }
}

impl Share {
    /// Notes whether the connection's task runs behind others.
    pub(crate) fn set_patient(&self, is_patient: bool) {
        self.is_patient.store(is_patient, Ordering::Relaxed);
    }

    fn is_patient(&self) -> bool {
        self.is_patient.load(Ordering::Relaxed)
    }

    /// A request is to wait. If others do, the list of those behind the first, and their number.
    fn enter(&self) -> Option<(MutexGuard<'_, VecDeque<Weak<Waiting>>>, usize)> {
        let count = self.waiting.fetch_add(1, Ordering::Relaxed);
        (count > 0).then(|| (lock(&self.behind), count))
    }
}

/// Adds to a list of which `count` entries have not given up.
fn append(list: &mut VecDeque<Weak<Waiting>>, count: usize, waiting: &Arc<Waiting>) {
    if list.len() >= 2 * count + SPARE {
        list.retain(|other| other.strong_count() > 0);
    }
    list.push_back(Arc::downgrade(waiting));
}

impl State {
    /// No more calls begin in this turn.
    fn is_turn_full(&self) -> bool {
        self.pace.as_ref().is_some_and(Pace::is_spent)
    }

    /// The same, and the next turn lets calls begin.
    fn is_next_turn_awaited(&self) -> bool {
        let pace = self.pace.as_ref();
        pace.is_some_and(|pace| pace.is_spent() && !pace.is_by_rounds())
    }

    /// A call that the pace lets begin has begun, or never will.
    fn settle_pace(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.settle();
        }
    }

    /// A request waits no more. The next one of its connection comes to the line, unless one is there.
    fn leave(&mut self, waiting: &Waiting) {
        self.present -= 1;
        let Some(share) = &waiting.share else { return };
        share.waiting.fetch_sub(1, Ordering::Relaxed);
        if !waiting.is_behind.load(Ordering::Relaxed) {
            let mut behind = lock(&share.behind);
            let next = std::iter::from_fn(|| behind.pop_front()).find_map(|entry| entry.upgrade());
            if let Some(next) = next {
                next.is_behind.store(false, Ordering::Relaxed);
                self.waiting.push_back(Arc::downgrade(&next));
            }
        }
    }

    fn has_waited_long(&self, first: &Waiting) -> bool {
        let stalled = first.since.max(self.returned);
        stalled + LONGEST_STALL <= self.now || first.since + LONGEST_WAIT <= self.now
    }
}

impl Permit {
    /// Gives the permit to others for as long as its call waits for nothing but its peer.
    pub(crate) fn lend(&mut self) {
        if !std::mem::replace(&mut self.is_lent, true) {
            let mut state = lock(&self.queue.state);
            state.counts.lend(&self.holder);
            if std::mem::take(&mut self.is_paced) {
                state.settle_pace();
            }
            self.queue.call_next(state);
        }
    }

    /// Ends the loan: the call goes on, and counts from now on, whoever got the permit.
    pub(crate) fn reclaim(&mut self) {
        if std::mem::take(&mut self.is_lent) {
            lock(&self.queue.state).counts.reclaim(&self.holder);
        }
    }

    /// The application's thread begins the call.
    pub(crate) fn note_begun(&mut self) {
        if std::mem::take(&mut self.is_paced) {
            let mut state = lock(&self.queue.state);
            state.settle_pace();
            self.queue.call_next(state);
        }
    }

    /// The bound on bytes that wait for peers, see there.
    pub(crate) fn waiting(&self) -> &Budget {
        &self.queue.waiting
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        if !self.is_lent {
            state.counts.lend(&self.holder);
        }
        state.counts.give_back();
        if self.is_paced {
            state.settle_pace();
        }
        self.queue.call_next(state);
    }
}

/// Young requests that are enough, of patient connections or of others.
fn enough_for(is_patient: bool) -> usize {
    match is_patient {
        true => ENOUGH / 2,
        false => ENOUGH,
    }
}

fn call(called: Vec<Arc<Waiting>>) {
    for waiting in called {
        waiting.waker.wake_by_ref();
    }
}

/// A place in the queue; its drop gives it up.
#[derive(Default)]
pub(crate) struct Place(Option<Arc<Waiting>>);

/// A place has it, and for a moment whoever gives permits: under the lock unless it is called.
struct Waiting {
    waker: Waker,
    /// The place has left the queue with a permit, which is kept for it.
    is_called: AtomicBool,
    /// It waits behind another one of its connection.
    is_behind: AtomicBool,
    permit: Mutex<Option<Permit>>,
    since: Instant,
    share: Option<Arc<Share>>,
    queue: Arc<Shared>,
}

impl Waiting {
    fn is_patient(&self) -> bool {
        let share = self.share.as_ref();
        share.is_some_and(|share| share.is_patient())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(waiting) = self.0.take() else { return };
        let queue = Arc::clone(&waiting.queue);
        let mut state = lock(&queue.state);
        if waiting.is_called.load(Ordering::Relaxed) {
            // Its permit, which is given back, needs the lock.
            drop(state);
        } else {
            state.leave(&waiting);
            // Under the lock, so that nobody finds it in the line any more.
            drop(waiting);
        }
    }
}

/// Bytes that wait for peers which read nothing, beside those of calls with permits.
const MAX_WAITING: usize = 128 * 1024 * 1024;
/// Calls for each permit, those included that wait for their peers; and the least number of them.
const CALLS_PER_PERMIT: usize = 8;
const LEAST_CALLS: usize = 2048;
/// One in so many permits is out of reach for a connection that has all the others.
const RESERVED: usize = 4;
/// Running requests that are enough to keep a process busy (fastapi-sync with 64 connections: 132 µs
/// with 16, 159 µs without a limit). With 8 there is not always one that can go on (138 µs); with 32
/// most of the gain is gone (145 µs).
const ENOUGH: usize = 16;
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
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;
    use crate::admission::adaptive::tests::{limit, work};
    use crate::admission::counts::EPOCH;

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
        share: Option<Arc<Share>>,
        wakes: Arc<Count>,
    }

    impl Peer {
        fn gets(&mut self, queue: &Queue) -> bool {
            let waker = Waker::from(Arc::clone(&self.wakes));
            let mut cx = Context::from_waker(&waker);
            let now = lock(&queue.0.state).now;
            let permit = queue.poll_acquire(&mut cx, &mut self.place, now, self.share.as_ref());
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
    fn connections_take_turns() {
        let (queue, [mut busy, ..]) = full();
        let shares = <[Arc<Share>; 2]>::default();
        // Requests 0 to 3 of one connection, 4 and 5 of another one, and two that are alone.
        let mut peers: [Peer; 8] = std::array::from_fn(|at| Peer {
            share: [0, 0, 0, 0, 1, 1]
                .get(at)
                .map(|of: &usize| Arc::clone(&shares[*of])),
            ..Peer::default()
        });
        assert!(peers.iter_mut().all(|peer| !peer.gets(&queue)));
        peers[1] = Peer::default(); // its client is gone
        let mut order = String::new();
        for _ in 0..7 {
            busy.gives_back();
            let called = peers
                .iter_mut()
                .enumerate()
                .find(|(_, peer)| peer.wakes() > 0);
            let (at, peer) = called.unwrap();
            order += &at.to_string();
            assert!(peer.gets(&queue));
            busy.permit = peer.permit.take();
            peer.wakes = Arc::default();
        }
        assert_eq!(order, "0467253");
        assert!(
            shares
                .iter()
                .all(|share| share.waiting.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn patient_connections_are_counted_apart() {
        let (queue, mut peers) = crowd::<{ ENOUGH / 2 + ENOUGH + 2 }>();
        let share = Arc::new(Share::default());
        share.set_patient(true);
        let (patient, others) = peers.split_at_mut(ENOUGH / 2 + 1);
        for peer in patient.iter_mut() {
            peer.share = Some(Arc::clone(&share));
        }
        let (last, first) = patient.split_last_mut().unwrap();
        assert!(first.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!last.gets(&queue));
        let (next, others) = others.split_last_mut().unwrap();
        assert!(others.iter_mut().all(|peer| peer.gets(&queue)));
        assert!(!next.gets(&queue));
        others[0].gives_back();
        assert_eq!((next.wakes(), last.wakes()), (1, 0), "it was there first");
        assert!(next.gets(&queue));
        share.set_patient(false);
        others[1].gives_back();
        assert!(last.gets(&queue));
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
        assert!(lock(&queue.0.state).waiting.len() <= SPARE + 2);
    }

    /// A process that keeps one processor busy, and so many peers.
    fn crowd<const COUNT: usize>() -> (Queue, [Peer; COUNT]) {
        let queue = Queue::new(LIMIT, limit());
        lock(&queue.0.state).now = work(Duration::ZERO, 1.0, 1.0);
        let is_off = || {
            let state = lock(&queue.0.state);
            state.adaptive.follow(state.now, false)
        };
        while is_off() {
            pass(&queue, EPOCH);
        }
        let mut state = lock(&queue.0.state);
        state.counts.began = state.now;
        drop(state);
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
        let waiting = last.place.0.as_ref().unwrap();
        let mut state = lock(&queue.0.state);
        let end = state.now + LONGEST_WAIT;
        state.returned = end;
        state.now = end - Duration::from_nanos(1);
        assert!(!state.has_waited_long(waiting));
        state.now = end;
        assert!(state.has_waited_long(waiting));
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

    #[test]
    fn a_lent_permit_is_another_ones_and_comes_back_at_once() {
        let (queue, [mut first, mut second, mut third]) = full();
        first.permit.as_mut().unwrap().lend();
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        assert!(second.gets(&queue));
        first.permit.as_mut().unwrap().reclaim();
        second.gives_back();
        assert!(!third.gets(&queue), "the first one has its permit again");
        first.gives_back();
        assert!(third.gets(&queue));
        // Given back while it is lent, it counts once.
        third.permit.as_mut().unwrap().lend();
        assert!(first.gets(&queue));
        third.gives_back();
        assert!(!second.gets(&queue));
    }

    #[test]
    fn as_many_calls_are_on_their_way_as_begin_in_a_round() {
        let queue = Queue::new(8, AdaptiveLimit::new(None));
        assert!(!queue.asks_rounds());
        queue.pace(Some(Duration::from_millis(2)), By::Rounds);
        assert!(queue.asks_rounds());
        let mut peers = <[Peer; 6]>::default();
        let got: Vec<_> = peers.iter_mut().map(|peer| peer.gets(&queue)).collect();
        assert_eq!(got, [true, false, false, false, false, false]);
        let now = lock(&queue.0.state).now;
        queue.begin_turn(1, now);
        assert!(!peers[1].gets(&queue));
        peers[0].permit.as_mut().unwrap().note_begun();
        assert!(peers[1].gets(&queue) && !peers[2].gets(&queue));
        // Answered without the application.
        peers[1].gives_back();
        assert!(peers[2].gets(&queue) && !peers[3].gets(&queue));
        queue.end_round(1, Duration::ZERO);
        assert!(peers[3].gets(&queue) && !peers[4].gets(&queue));
        peers[2].permit.as_mut().unwrap().note_begun();
        peers[2].gives_back();
        assert!(peers[4].gets(&queue) && !peers[5].gets(&queue));
    }

    #[test]
    fn calls_whose_permits_are_lent_are_not_endless() {
        let queue = Queue::new(1, AdaptiveLimit::new(None));
        let mut calls: Vec<Peer> = Vec::new();
        for _ in 0..LEAST_CALLS {
            let mut call = Peer::default();
            assert!(call.gets(&queue));
            call.permit.as_mut().unwrap().lend();
            calls.push(call);
        }
        let mut next = Peer::default();
        assert!(!next.gets(&queue));
        calls[0].gives_back();
        assert_eq!(next.wakes(), 1);
        assert!(next.gets(&queue));
    }

    #[test]
    fn without_a_load_to_follow_any_thread_gives_permits() {
        let (queue, [mut first, second, mut third]) = full();
        let permit = first.permit.take();
        std::thread::spawn(move || drop(permit)).join().unwrap();
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        // Gone before it came: the permit is the next one's.
        std::thread::spawn(move || drop(second)).join().unwrap();
        assert_eq!(third.wakes(), 1);
        assert!(!first.gets(&queue));
        assert!(third.gets(&queue));
    }

    #[test]
    fn a_permit_that_another_thread_gives_back_is_the_first_ones() {
        let queue = Queue::new(1, limit());
        let [mut first, mut second, mut third] = <[Peer; 3]>::default();
        assert!(first.gets(&queue) && !second.gets(&queue) && !third.gets(&queue));
        let (calls, patrol) = counted();
        patrol_after(&queue, Duration::ZERO, &patrol);
        let permit = first.permit.take();
        std::thread::spawn(move || drop(permit)).join().unwrap();
        assert_eq!((calls(), second.wakes()), (1, 0));
        assert!(!first.gets(&queue), "the second one has waited for longer");
        assert_eq!(second.wakes(), 1);
        assert!(second.gets(&queue));
        assert!(!third.gets(&queue));
    }

    #[test]
    fn one_connection_does_not_get_all_permits() {
        let queue = Queue::new(8, AdaptiveLimit::new(None));
        let share = Some(Arc::new(Share::default()));
        let mut streams: [Peer; 9] = std::array::from_fn(|_| Peer {
            share: share.clone(),
            ..Peer::default()
        });
        let got = streams
            .iter_mut()
            .filter_map(|stream| stream.gets(&queue).then_some(()));
        assert_eq!(got.count(), 6);
        let mut others = <[Peer; 3]>::default();
        assert!(
            others[0].gets(&queue),
            "the line before it is no line for it"
        );
        assert!(others[1].gets(&queue));
        assert!(!others[2].gets(&queue));
        others[0].gives_back();
        assert!(others[2].gets(&queue));
        streams[0].gives_back();
        assert!(streams[6].gets(&queue));
        streams[1].permit.as_mut().unwrap().lend();
        assert!(streams[7].gets(&queue));
        assert!(!streams[8].gets(&queue));
    }
}
