//! `Waiters`: the calls that hold a thread while they wait for their clients. Where they have the threads of others, some
//! end.
//!
//! The thread of a WSGI application's call cannot do another one meanwhile: its locals are the application's. So the pool
//! has further threads for the others, up to a bound. When those are in use too and a request waits for a thread, a client
//! is not waited for any longer: of the connection that has the most of them, the one that has been waited for longest.
//! Else clients that take or send nothing would soon have all threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Exchange;
use crate::runtime::waker::{lock, wake};

/// See the module's documentation. One per pool.
#[derive(Default)]
pub struct Waiters {
    /// Threads of the pool and the one that watches it meet here; the lock is held for a look at each call.
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// In the order in which their waits have begun.
    waiting: BTreeMap<u64, Arc<Exchange>>,
    next: u64,
    /// When some were told to end last.
    evicted: Option<Instant>,
}

impl Waiters {
    /// The call of `exchange` begins to wait for its client. The key is for [`Waiters::leave`].
    pub fn enter(&self, exchange: &Arc<Exchange>) -> u64 {
        let mut calls = lock(&self.calls);
        let key = calls.next;
        calls.next += 1;
        calls.waiting.insert(key, Arc::clone(exchange));
        key
    }

    /// The wait is over.
    pub fn leave(&self, key: u64) {
        let left = lock(&self.calls).waiting.remove(&key);
        drop(left); // outside the lock: it may be the last owner
    }

    /// Has so many of the waits end at `now`, if those that were told to before have had the time for it.
    pub fn evict(&self, count: usize, now: Instant) {
        let evicted: Vec<_> = {
            let mut calls = lock(&self.calls);
            if calls.evicted.is_some_and(|at| now < at + PAUSE) {
                return;
            }
            calls.evicted = Some(now);
            (0..count).map_while(|_| calls.take_one()).collect()
        };
        for exchange in evicted {
            exchange.evict();
        }
    }
}

impl Calls {
    /// Takes out the call whose client is not waited for any more.
    fn take_one(&mut self) -> Option<Arc<Exchange>> {
        let connection = |exchange: &Exchange| exchange.origin().peer.number;
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

/// Time for a call to end whose client is not waited for any more: its thread takes the next one.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Windows;
    use crate::testing::origin;

    /// As many exchanges of connections of their own, and those of one connection.
    fn exchanges(own: usize, of_one: usize) -> Vec<Arc<Exchange>> {
        let numbers = (1..=own as u64).chain(std::iter::repeat_n(0, of_one));
        let exchange = |number| {
            let mut origin = origin("GET", b"/");
            Arc::get_mut(&mut origin.peer).unwrap().number = number;
            Arc::new(Exchange::new(origin, false, Windows::even(1000)))
        };
        numbers.map(exchange).collect()
    }

    fn evicted(exchanges: &[Arc<Exchange>]) -> Vec<usize> {
        let all = exchanges.iter().enumerate();
        let evicted = all.filter(|(_, exchange)| exchange.is_evicted());
        evicted.map(|(index, _)| index).collect()
    }

    #[test]
    fn the_one_that_waits_for_longest_goes() {
        let exchanges = exchanges(4, 0);
        let waiters = Waiters::default();
        let keys: Vec<_> = exchanges.iter().map(|one| waiters.enter(one)).collect();
        waiters.leave(keys[0]);
        waiters.enter(&exchanges[0]);
        let now = Instant::now();
        waiters.evict(1, now);
        assert_eq!(evicted(&exchanges), [1]);
        waiters.leave(keys[1]);
        // Its call has not ended yet.
        waiters.evict(9, now + PAUSE - Duration::from_nanos(1));
        assert_eq!(evicted(&exchanges), [1]);
        waiters.evict(9, now + PAUSE);
        assert_eq!(evicted(&exchanges), [0, 1, 2, 3]);
    }

    #[test]
    fn a_connection_with_many_goes_first() {
        let exchanges = exchanges(3, 4);
        let waiters = Waiters::default();
        for exchange in &exchanges {
            waiters.enter(exchange);
        }
        waiters.evict(3, Instant::now());
        assert_eq!(evicted(&exchanges), [3, 4, 5]);
    }
}
