//! `Waiters`: the calls that hold a thread while they wait for their clients, and the bound on their number.
//!
//! The thread of a WSGI application's call cannot do another one meanwhile: its locals are the application's. So the pool
//! has further threads for the others, up to a bound. A call beyond it costs one its client: of the connection that has
//! the most of them, the one that has been waited for longest. Else clients that take or send nothing would soon have all
//! threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Exchange;
use crate::runtime::waker::{lock, wake};

/// See the module's documentation. One per pool.
pub struct Waiters {
    most: usize,
    /// Threads of the pool meet here; the lock is held for a look at each call.
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// In the order in which their waits have begun.
    waiting: BTreeMap<u64, Arc<Exchange>>,
    next: u64,
}

impl Waiters {
    /// Up to `most` calls at once.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            calls: Mutex::default(),
        }
    }

    /// The call of `exchange` begins to wait for its client. The key is for [`Waiters::leave`].
    pub fn enter(&self, exchange: &Arc<Exchange>) -> u64 {
        let (key, evicted) = {
            let mut calls = lock(&self.calls);
            let key = calls.next;
            calls.next += 1;
            calls.waiting.insert(key, Arc::clone(exchange));
            let exceeds = calls.waiting.len() > self.most;
            (key, exceeds.then(|| calls.take_one()).flatten())
        };
        if let Some(exchange) = evicted {
            exchange.evict();
        }
        key
    }

    /// The wait is over.
    pub fn leave(&self, key: u64) {
        let left = lock(&self.calls).waiting.remove(&key);
        drop(left); // outside the lock: it may be the last owner
    }
}

impl Calls {
    /// Takes out the call whose client is not waited for any more.
    fn take_one(&mut self) -> Option<Arc<Exchange>> {
        let connection = |exchange: &Exchange| Arc::as_ptr(&exchange.origin().peer);
        let mut counts = HashMap::new();
        for exchange in self.waiting.values() {
            *counts.entry(connection(exchange)).or_insert(0) += 1;
        }
        let most = counts.values().copied().max();
        let is_of_most = |(_, exchange): &(&u64, &Arc<Exchange>)| {
            counts.get(&connection(exchange)).copied() == most
        };
        let key = *self.waiting.iter().find(is_of_most)?.0;
        self.waiting.remove(&key)
    }
}

impl Exchange {
    /// Has the connection end this exchange: its client has been waited for long enough.
    fn evict(&self) {
        self.progress.is_evicted.store(true, Ordering::Relaxed);
        let connection = lock(&self.state).connection.take();
        wake(connection);
    }

    /// True if the connection is to end this exchange, since its client holds a thread.
    pub(crate) fn is_evicted(&self) -> bool {
        self.progress.is_evicted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Windows;
    use crate::exchange::origin::Origin;
    use crate::testing::{origin, peer};

    /// As many exchanges of connections of their own, and those of one connection.
    fn exchanges(own: usize, of_one: usize) -> Vec<Arc<Exchange>> {
        let one = peer();
        let peers = (0..own).map(|_| peer());
        let peers = peers.chain((0..of_one).map(|_| Arc::clone(&one)));
        let exchange = |peer| {
            let origin = Origin {
                peer,
                ..origin("GET", b"/")
            };
            Arc::new(Exchange::new(origin, false, Windows::even(1000)))
        };
        peers.map(exchange).collect()
    }

    fn evicted(exchanges: &[Arc<Exchange>]) -> Vec<usize> {
        let all = exchanges.iter().enumerate();
        let evicted = all.filter(|(_, exchange)| exchange.is_evicted());
        evicted.map(|(index, _)| index).collect()
    }

    #[test]
    fn the_one_that_waits_for_longest_goes() {
        let exchanges = exchanges(5, 0);
        let waiters = Waiters::new(3);
        let keys: Vec<_> = exchanges[..3]
            .iter()
            .map(|one| waiters.enter(one))
            .collect();
        assert_eq!(evicted(&exchanges), []);
        waiters.leave(keys[0]);
        waiters.enter(&exchanges[3]);
        assert_eq!(evicted(&exchanges), []);
        waiters.enter(&exchanges[4]);
        assert_eq!(evicted(&exchanges), [1]);
        waiters.leave(keys[1]);
        waiters.leave(keys[2]);
        waiters.enter(&exchanges[0]);
        assert_eq!(evicted(&exchanges), [1]);
    }

    #[test]
    fn a_connection_with_many_goes_first() {
        let exchanges = exchanges(3, 4);
        let waiters = Waiters::new(4);
        for exchange in &exchanges {
            waiters.enter(exchange);
        }
        assert_eq!(evicted(&exchanges), [3, 4, 5]);
    }
}
