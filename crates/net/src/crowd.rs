//! `Crowd`: the open connections of a service, bounded in number: all of them, and those of one client. When there
//! are as many as there may be, the one that has been idle for the longest time makes room, and accepting waits for
//! its end.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::exchange::peer::Address;
use crate::limits::ConnectionLimits;
use crate::metrics::Metrics;
use crate::runtime::waker::{register, wake_all};

/// See the module's documentation. Connections are known by the keys of their tasks.
pub(crate) struct Crowd {
    limits: ConnectionLimits,
    open: Cell<usize>,
    idle: RefCell<Idle>,
    /// Connections of each client, if they are bounded.
    clients: RefCell<HashMap<IpAddr, usize>>,
    /// Accept loops that wait for a connection to end.
    acceptors: RefCell<Vec<Waker>>,
}

#[derive(Default)]
struct Idle {
    /// The idle connections, and since when.
    since: HashMap<usize, Instant>,
    /// The same in the order of time, with those that are not idle any more.
    line: VecDeque<(usize, Instant)>,
    /// Connections that were asked to make room.
    asked: HashSet<usize>,
}

impl Crowd {
    /// Nobody, within `limits`.
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            open: Cell::new(0),
            idle: RefCell::default(),
            clients: RefCell::default(),
            acceptors: RefCell::default(),
        }
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Ready while another connection may be accepted; otherwise `cx` is woken when one has ended.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.limits.max.is_none_or(|max| self.open.get() < max) {
            return Poll::Ready(());
        }
        register(&mut self.acceptors.borrow_mut(), cx);
        Poll::Pending
    }

    /// Asks the connection that has been idle for the longest time to make room, unless one was asked already.
    /// Returns its key, for its task to be woken.
    pub(crate) fn ask_for_room(&self) -> Option<usize> {
        let idle = &mut *self.idle.borrow_mut();
        if !idle.asked.is_empty() {
            return None;
        }
        while let Some((key, at)) = idle.line.pop_front() {
            if idle.since.get(&key) == Some(&at) {
                idle.since.remove(&key);
                idle.asked.insert(key);
                return Some(key);
            }
        }
        None
    }

    /// True if [`Crowd::note_idle`] is to be called.
    pub(crate) fn is_bounded(&self) -> bool {
        self.limits.max.is_some()
    }

    /// Notes whether the connection is idle at `now`. True if it was asked to make room, and is.
    pub(crate) fn note_idle(&self, key: usize, is_idle: bool, now: Instant) -> bool {
        let idle = &mut *self.idle.borrow_mut();
        if !idle.asked.is_empty() && idle.asked.contains(&key) {
            if is_idle {
                return true;
            }
            // A request has come meanwhile; another one is asked.
            idle.asked.remove(&key);
            self.wake_acceptors();
        }
        if !is_idle {
            idle.since.remove(&key);
        } else if let Entry::Vacant(entry) = idle.since.entry(key) {
            entry.insert(now);
            idle.line.push_back((key, now));
            if idle.line.len() > 2 * idle.since.len() + SPARE {
                let Idle { since, line, .. } = idle;
                line.retain(|(key, at)| since.get(key) == Some(at));
            }
            // Accept loops that found nobody idle ask again.
            self.wake_acceptors();
        }
        false
    }

    /// True if `address` may open one more connection, which is counted then.
    fn admit(&self, address: &Address) -> Option<Option<IpAddr>> {
        let Some(most) = self.limits.per_client else {
            return Some(None);
        };
        let Some(client) = client_of(address) else {
            return Some(None);
        };
        let mut clients = self.clients.borrow_mut();
        let count = clients.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Some(client))
    }

    fn leave(&self, key: usize, client: Option<IpAddr>) {
        self.open.set(self.open.get() - 1);
        if let Some(client) = client {
            let mut clients = self.clients.borrow_mut();
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
            idle.asked.remove(&key);
            drop(idle);
            self.wake_acceptors();
        }
    }

    fn wake_acceptors(&self) {
        let waiting = std::mem::take(&mut *self.acceptors.borrow_mut());
        wake_all(waiting);
    }
}

/// One open connection, counted until this is dropped.
pub(crate) struct Member {
    crowd: Rc<Crowd>,
    client: Option<IpAddr>,
    key: usize,
    metrics: Option<Rc<Metrics>>,
}

impl Member {
    /// Counts a connection of `address`, in `metrics` too. `None` if its client has as many as it may have. Without an
    /// address it is nobody's: that of a proxy, whose client is not known yet.
    pub(crate) fn join(
        crowd: &Rc<Crowd>,
        address: Option<&Address>,
        metrics: Option<&Rc<Metrics>>,
    ) -> Option<Self> {
        let client = match address {
            Some(address) => crowd.admit(address)?,
            None => None,
        };
        crowd.open.set(crowd.open.get() + 1);
        if let Some(metrics) = metrics {
            metrics.enter();
        }
        Some(Self {
            metrics: metrics.cloned(),
            crowd: Rc::clone(crowd),
            client,
            key: usize::MAX,
        })
    }

    /// Counts it for the client at `address` as well, of which a proxy has told. False if that one has as many as it may
    /// have.
    pub(crate) fn count_for(&mut self, address: &Address) -> bool {
        let client = self.crowd.admit(address);
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
        self.crowd.leave(self.key, self.client);
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

/// Stale entries from which the line is searched for them.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn crowd(max: usize) -> Crowd {
        Crowd::new(ConnectionLimits {
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
            assert!(!crowd.note_idle(key, true, at(key as u64)));
        }
        // A request, and idle again.
        crowd.note_idle(1, false, at(4));
        crowd.note_idle(1, true, at(5));
        assert_eq!(crowd.ask_for_room(), Some(2));
        assert_eq!(crowd.ask_for_room(), None, "one is on its way out");
        assert!(!crowd.note_idle(3, true, at(6)));
        assert!(crowd.note_idle(2, true, at(6)));
        crowd.open.set(3);
        crowd.leave(2, None);
        assert_eq!(crowd.ask_for_room(), Some(3));
        assert!(!crowd.note_idle(3, false, at(7)), "it has a request");
        assert_eq!(crowd.ask_for_room(), Some(1));
    }

    #[test]
    fn the_line_does_not_grow_with_requests() {
        let crowd = crowd(1);
        let now = Instant::now();
        for turn in 0..1000 {
            let now = now + Duration::from_secs(turn);
            crowd.note_idle(1, false, now);
            crowd.note_idle(1, true, now);
        }
        assert!(crowd.idle.borrow().line.len() <= SPARE + 3);
        assert_eq!(crowd.ask_for_room(), Some(1));
    }

    #[test]
    fn clients_are_addresses_and_networks() {
        let crowd = Crowd::new(ConnectionLimits {
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
        crowd.open.set(1);
        crowd.leave(0, client_of(&address("10.0.0.1:1")));
        assert!(admits("10.0.0.1:4") && !admits("10.0.0.1:5"));
    }
}
