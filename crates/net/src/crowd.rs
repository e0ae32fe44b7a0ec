//! `Crowd`: the open connections of a service, bounded in number: all of them, and those of one client. When there
//! are as many as there may be, the one that has been idle for the longest time makes room, and accepting waits for
//! its end.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::exchange::peer::Address;
use crate::limits::ConnectionLimits;
use crate::metrics::Metrics;
use crate::runtime::waker::{lock, register, wake_all};

/// See the module's documentation: the connections of one thread. They are known by the keys of their tasks.
pub(crate) struct Crowd {
    limits: ConnectionLimits,
    total: Arc<Total>,
    idle: RefCell<Idle>,
}

/// What the crowds of all threads of a worker come to. A lock is taken where the numbers are bounded, once for each
/// connection.
#[derive(Default)]
pub(crate) struct Total {
    /// Open connections, and as many times [`CLAIM`] as there are places that accept loops hold for a connection to come.
    places: AtomicU64,
    /// Connections that were asked to make room.
    asked: AtomicUsize,
    /// Connections of each client, if they are bounded.
    clients: Mutex<HashMap<IpAddr, usize>>,
    /// Accept loops that wait for a connection to end.
    acceptors: Mutex<Vec<Waker>>,
}

/// The place of one connection, from before it is accepted to its end.
pub(crate) struct Room {
    crowd: Rc<Crowd>,
    /// Nobody has been accepted for it yet, and another thread may find the connection in the queue that it is for.
    is_claimed: bool,
}

#[derive(Default)]
struct Idle {
    /// The idle connections, since when, and the requests that they had had.
    since: HashMap<usize, (Instant, u64)>,
    /// The same in the order of time, with those that are not idle any more.
    line: VecDeque<(usize, Instant)>,
    /// Connections that were asked to make room.
    asked: HashSet<usize>,
}

impl Crowd {
    /// Nobody, within `limits` for all that count in `total`.
    pub(crate) fn new(limits: ConnectionLimits, total: Arc<Total>) -> Self {
        Self {
            limits,
            total,
            idle: RefCell::default(),
        }
    }

    /// Ready while another connection may be accepted; otherwise `cx` is woken when one has ended.
    pub(crate) fn poll_room(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Room> {
        let max = self.limits.max;
        if !self.total.enter(max) {
            register(&mut lock(&self.total.acceptors), cx);
            // Another thread's may have ended meanwhile.
            if !self.total.enter(max) {
                return Poll::Pending;
            }
        }
        Poll::Ready(Room {
            crowd: Rc::clone(self),
            is_claimed: max.is_some(),
        })
    }

    /// False while there is a place, which may have become free since [`Crowd::poll_room`], or while an accept loop has one
    /// and nobody for it: what is in the queue is for that place.
    pub(crate) fn is_full(&self) -> bool {
        let places = self.total.places.load(Ordering::SeqCst);
        let is_claimed = places >= CLAIM;
        !is_claimed && self.limits.max.is_some_and(|max| open_of(places) >= max)
    }

    /// Asks the connection that has been idle for the longest time to make room, unless one was asked already.
    /// Returns its key, for its task to be woken.
    pub(crate) fn ask_for_room(&self) -> Option<usize> {
        let idle = &mut *self.idle.borrow_mut();
        if self.total.asked.load(Ordering::Relaxed) > 0 {
            return None;
        }
        while let Some((key, at)) = idle.line.pop_front() {
            if is_in_line(&idle.since, key, at) {
                idle.since.remove(&key);
                idle.asked.insert(key);
                self.total.asked.fetch_add(1, Ordering::Relaxed);
                return Some(key);
            }
        }
        None
    }

    /// True if [`Crowd::note_idle`] is to be called.
    pub(crate) fn is_bounded(&self) -> bool {
        self.limits.max.is_some()
    }

    /// Notes that the connection is idle at `now`, after so many requests: one that was answered at once has not been seen
    /// as busy. True if it was asked to make room.
    pub(crate) fn note_idle(&self, key: usize, requests: u64, now: Instant) -> bool {
        let idle = &mut *self.idle.borrow_mut();
        if idle.asked.contains(&key) {
            return true;
        }
        let is_new = match idle.since.entry(key) {
            Entry::Occupied(entry) if entry.get().1 == requests => return false,
            Entry::Occupied(mut entry) => {
                entry.insert((now, requests));
                false
            }
            Entry::Vacant(entry) => {
                entry.insert((now, requests));
                true
            }
        };
        idle.line.push_back((key, now));
        if idle.line.len() > 2 * idle.since.len() + SPARE {
            let Idle { since, line, .. } = idle;
            line.retain(|(key, at)| is_in_line(since, *key, *at));
        }
        if is_new {
            // Accept loops that found nobody idle ask again.
            self.total.wake_acceptors();
        }
        false
    }

    /// Notes that the connection is not idle, or not any more.
    pub(crate) fn note_busy(&self, key: usize) {
        let idle = &mut *self.idle.borrow_mut();
        idle.since.remove(&key);
        if idle.asked.contains(&key) {
            // A request has come meanwhile; another one is asked.
            self.take_back(idle, key);
            self.total.wake_acceptors();
        }
    }

    /// The connection is asked no longer.
    fn take_back(&self, idle: &mut Idle, key: usize) {
        if idle.asked.remove(&key) {
            self.total.asked.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// True if `address` may open one more connection, which is counted then.
    fn admit(&self, address: &Address) -> Option<Option<IpAddr>> {
        let Some(most) = self.limits.per_client else {
            return Some(None);
        };
        let Some(client) = client_of(address) else {
            return Some(None);
        };
        let mut clients = lock(&self.total.clients);
        let count = clients.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Some(client))
    }

    fn leave(&self, key: usize, client: Option<IpAddr>) {
        if let Some(client) = client {
            let mut clients = lock(&self.total.clients);
            if let Some(count) = clients.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    clients.remove(&client);
                }
            }
        }
        if self.limits.max.is_some() {
            let mut idle = self.idle.borrow_mut();
            idle.since.remove(&key);
            self.take_back(&mut idle, key);
        }
    }
}

/// True for the entry of the line that tells since when the connection has been idle.
fn is_in_line(since: &HashMap<usize, (Instant, u64)>, key: usize, at: Instant) -> bool {
    since.get(&key).is_some_and(|(since, _)| *since == at)
}

impl Total {
    /// Open connections, and places for those that are about to be accepted.
    pub(crate) fn open(&self) -> usize {
        open_of(self.places.load(Ordering::SeqCst))
    }

    /// Takes a place, with a claim on it, if fewer than `max` are taken; without a bound none is claimed.
    fn enter(&self, max: Option<usize>) -> bool {
        let order = Ordering::SeqCst;
        let Some(max) = max else {
            self.places.fetch_add(1, order);
            return true;
        };
        let more = |places: u64| (open_of(places) < max).then_some(places + 1 + CLAIM);
        self.places.fetch_update(order, order, more).is_ok()
    }

    fn wake_acceptors(&self) {
        let waiting = std::mem::take(&mut *lock(&self.acceptors));
        wake_all(waiting);
    }
}

impl Room {
    /// Somebody has been accepted for it.
    fn fill(&mut self) {
        if std::mem::take(&mut self.is_claimed) {
            let total = &self.crowd.total;
            total.places.fetch_sub(CLAIM, Ordering::SeqCst);
            // Whoever else waits in the queue may need the place of another thread's idle connection.
            total.wake_acceptors();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Together: with the claim gone before the place, another thread would ask a connection to leave for a place that is
        // about to be free.
        let given_back = if self.is_claimed { 1 + CLAIM } else { 1 };
        let total = &self.crowd.total;
        total.places.fetch_sub(given_back, Ordering::SeqCst);
        if self.crowd.limits.max.is_some() {
            total.wake_acceptors();
        }
    }
}

fn open_of(places: u64) -> usize {
    // Descriptors are numbers of 32 bits.
    usize::try_from(places % CLAIM).unwrap_or(usize::MAX)
}

/// One open connection, counted until this is dropped.
pub(crate) struct Member {
    room: Room,
    client: Option<IpAddr>,
    key: usize,
    metrics: Option<Rc<Metrics>>,
}

impl Member {
    /// Counts a connection of `address` in `room`, in `metrics` too. `None` if its client has as many as it may have. Without an
    /// address it is nobody's: that of a proxy, whose client is not known yet.
    pub(crate) fn join(
        mut room: Room,
        address: Option<&Address>,
        metrics: Option<&Rc<Metrics>>,
    ) -> Option<Self> {
        let client = match address {
            // A refused one gives back its place, which is still claimed.
            Some(address) => room.crowd.admit(address)?,
            None => None,
        };
        room.fill();
        if let Some(metrics) = metrics {
            metrics.enter();
        }
        Some(Self {
            metrics: metrics.cloned(),
            room,
            client,
            key: usize::MAX,
        })
    }

    /// Counts it for the client at `address` as well, of which a proxy has told. False if that one has as many as it may
    /// have.
    pub(crate) fn count_for(&mut self, address: &Address) -> bool {
        let client = self.room.crowd.admit(address);
        let is_admitted = client.is_some();
        self.client = client.flatten();
        is_admitted
    }

    /// The connection is that of the task with this key.
    pub(crate) fn set_key(&mut self, key: usize) {
        self.key = key;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.crowd.leave(self.key, self.client);
        if let Some(metrics) = &self.metrics {
            metrics.leave();
        }
    }
}

/// The client behind an address: an IPv4 address, or a network of 64 bits, which is what one client of IPv6 has
/// (RFC 4291, 2.5.4). A Unix socket's clients cannot be told apart.
fn client_of(address: &Address) -> Option<IpAddr> {
    match address {
        Address::Ip(address) => Some(match address.ip().to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            ip => ip,
        }),
        Address::Unix(_) => None,
    }
}

/// See [`Total::places`].
const CLAIM: u64 = 1 << 32;
/// Stale entries from which the line is searched for them.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn crowd_of(limits: ConnectionLimits) -> Rc<Crowd> {
        Rc::new(Crowd::new(limits, Arc::default()))
    }

    fn crowd(max: usize) -> Rc<Crowd> {
        crowd_of(ConnectionLimits {
            max: Some(max),
            ..ConnectionLimits::default()
        })
    }

    #[test]
    fn the_one_that_has_been_idle_for_longest_is_asked_and_one_at_a_time() {
        let crowd = crowd(3);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for key in [1, 2, 3] {
            assert!(!crowd.note_idle(key, 1, at(key as u64)));
        }
        // A request, and idle again.
        crowd.note_busy(1);
        crowd.note_idle(1, 2, at(4));
        assert_eq!(crowd.ask_for_room(), Some(2));
        assert_eq!(crowd.ask_for_room(), None, "one is on its way out");
        assert!(!crowd.note_idle(3, 1, at(5)), "idle as before");
        assert!(crowd.note_idle(2, 1, at(5)));
        crowd.leave(2, None);
        assert_eq!(crowd.ask_for_room(), Some(3));
        crowd.note_busy(3);
        assert_eq!(crowd.ask_for_room(), Some(1));
    }

    #[test]
    fn a_request_that_was_answered_at_once_begins_the_time_anew() {
        let crowd = crowd(2);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (key, requests, seconds) in [(1, 1, 1), (2, 1, 2), (1, 2, 3)] {
            assert!(!crowd.note_idle(key, requests, at(seconds)));
        }
        assert_eq!(crowd.ask_for_room(), Some(2));
    }

    #[test]
    fn the_line_does_not_grow_with_requests() {
        let crowd = crowd(1);
        let now = Instant::now();
        for turn in 0..1000 {
            let now = now + Duration::from_secs(turn);
            if turn % 2 == 0 {
                crowd.note_busy(1);
            }
            crowd.note_idle(1, turn, now);
        }
        assert!(crowd.idle.borrow().line.len() <= SPARE + 3);
        assert_eq!(crowd.ask_for_room(), Some(1));
    }

    #[test]
    fn two_threads_have_one_bound() {
        let limits = ConnectionLimits {
            max: Some(2),
            ..ConnectionLimits::default()
        };
        let total = Arc::<Total>::default();
        let crowd = || Rc::new(Crowd::new(limits, Arc::clone(&total)));
        let (one, other) = (crowd(), crowd());
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(mut room) = one.poll_room(&mut cx) else {
            panic!("there is room");
        };
        assert!(other.poll_room(&mut cx).is_ready(), "and given back");
        let Poll::Ready(mut last) = other.poll_room(&mut cx) else {
            panic!("there is room");
        };
        assert!(one.poll_room(&mut cx).is_pending());
        room.fill();
        assert!(lock(&total.acceptors).is_empty(), "called");
        assert!(!one.is_full(), "another one will come to the last place");
        assert!(one.poll_room(&mut cx).is_pending());
        last.fill();
        assert!(one.is_full() && one.poll_room(&mut cx).is_pending());
        assert_eq!((total.open(), lock(&total.acceptors).len()), (2, 1));
        drop(room);
        assert!(lock(&total.acceptors).is_empty(), "called");
        assert!(one.poll_room(&mut cx).is_ready());
        drop(last);
        assert_eq!(total.open(), 0);
    }

    /// Notes the places each time that it is woken.
    struct Witness {
        total: Arc<Total>,
        seen: Mutex<Vec<u64>>,
    }

    impl std::task::Wake for Witness {
        fn wake(self: Arc<Self>) {
            lock(&self.seen).push(self.total.places.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn a_place_that_nobody_came_to_is_given_back_with_its_claim() {
        let crowd = crowd_of(ConnectionLimits {
            max: Some(1),
            per_client: Some(0),
            ..ConnectionLimits::default()
        });
        let witness = Arc::new(Witness {
            total: Arc::clone(&crowd.total),
            seen: Mutex::default(),
        });
        let waker = Waker::from(Arc::clone(&witness));
        let refused = Address::Ip("10.0.0.1:1".parse().unwrap());
        let ends: [fn(Room, &Address); 2] = [
            |room, _| drop(room),
            |room, address| assert!(Member::join(room, Some(address), None).is_none()),
        ];
        for end in ends {
            let Poll::Ready(room) = crowd.poll_room(&mut Context::from_waker(Waker::noop())) else {
                panic!("there is room");
            };
            let mut cx = Context::from_waker(&waker);
            assert!(crowd.poll_room(&mut cx).is_pending());
            end(room, &refused);
            let seen = std::mem::take(&mut *lock(&witness.seen));
            assert_eq!(seen, [0], "once, and with the claim");
            assert!(!crowd.is_full(), "nobody is to leave for it");
        }
    }

    #[test]
    fn clients_are_addresses_and_networks() {
        let crowd = crowd_of(ConnectionLimits {
            per_client: Some(2),
            ..ConnectionLimits::default()
        });
        let address = |text: &str| Address::Ip(text.parse().unwrap());
        let admits = |text: &str| crowd.admit(&address(text)).is_some();
        assert!(admits("10.0.0.1:1") && admits("[::ffff:10.0.0.1]:2"));
        assert!(!admits("10.0.0.1:3"));
        assert!(admits("10.0.0.2:1"));
        assert!(admits("[2001:db8::1]:1") && admits("[2001:db8::2]:1"));
        assert!(!admits("[2001:db8::3]:1") && admits("[2001:db8:0:1::1]:1"));
        assert!((0..9).all(|_| crowd.admit(&Address::Unix(None)).is_some()));
        crowd.leave(0, client_of(&address("10.0.0.1:1")));
        assert!(admits("10.0.0.1:4") && !admits("10.0.0.1:5"));
    }
}
