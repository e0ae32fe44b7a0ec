//! `Flights`: the requests of one worker that wait: for their bodies, for their turn, for a file, or for the client to take
//! the answer. Requests that the application works on are listed by its side, see [`Exchange::list`]. Any thread may
//! look at both, while the loop's own thread is stuck too.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use slab::Slab;

use super::Exchange;
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub struct Flights {
    /// The loop's thread enters and removes requests, one that watches reads; each holds it for a few moves.
    waiting: Mutex<Slab<Arc<Exchange>>>,
}

/// A request's entry; its drop removes it.
pub(crate) struct InFlight {
    flights: Arc<Flights>,
    key: usize,
}

impl Flights {
    /// Enters the request of `exchange`.
    pub(crate) fn enter(self: &Arc<Self>, exchange: &Arc<Exchange>) -> InFlight {
        InFlight {
            flights: Arc::clone(self),
            key: lock(&self.waiting).insert(Arc::clone(exchange)),
        }
    }

    /// Enters the request of `exchange`, which waits, in `entry`, unless it is there. One that the side of the application
    /// lists is not entered; one whose response `is_stuck` may be listed no more.
    pub(crate) fn note_waiting(
        self: &Arc<Self>,
        entry: &mut Option<InFlight>,
        exchange: &Arc<Exchange>,
        is_stuck: bool,
    ) {
        if entry.is_none() && (is_stuck || !exchange.is_listed()) {
            *entry = Some(self.enter(exchange));
        }
    }

    /// All requests in flight that have lasted for `age` at `now`, the oldest first. `listed` are the exchanges that the
    /// side of the application lists.
    pub fn older_than(
        &self,
        age: Duration,
        now: Instant,
        listed: Vec<Arc<Exchange>>,
    ) -> Vec<Arc<Exchange>> {
        let is_old = |exchange: &Arc<Exchange>| {
            now.saturating_duration_since(exchange.origin().since) >= age
        };
        let mut found = listed;
        // A WebSocket connection is no request any more, and neither is work behind an answer that has left.
        found.retain(|exchange| is_old(exchange) && !exchange.is_closed());
        {
            let waiting = lock(&self.waiting);
            let exchanges = waiting.iter().map(|(_, exchange)| exchange);
            found.extend(exchanges.filter(|exchange| is_old(exchange)).cloned());
        }
        found.sort_unstable_by_key(|exchange| (exchange.origin().since, Arc::as_ptr(exchange)));
        found.dedup_by(|one, other| Arc::ptr_eq(one, other));
        found
    }

    /// The number of all requests in flight; `listed` as above.
    pub fn count(&self, listed: &[Arc<Exchange>]) -> usize {
        let working = listed.iter().filter(|exchange| !exchange.is_closed());
        let waiting = lock(&self.waiting);
        let exchanges = waiting.iter().map(|(_, exchange)| exchange);
        // The others are in both.
        let only = exchanges.filter(|exchange| !exchange.is_listed() || exchange.is_closed());
        working.count() + only.count()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let removed = lock(&self.flights.waiting).try_remove(self.key);
        drop(removed); // outside the lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Over;
    use crate::exchange::Windows;
    use crate::testing::origin;

    fn exchange(since: Instant) -> Arc<Exchange> {
        let origin = super::super::origin::Origin {
            since,
            ..origin("GET", b"/")
        };
        Arc::new(Exchange::new(origin, false, Windows::even(1000)))
    }

    #[test]
    fn the_old_ones_are_found() {
        let flights: Arc<Flights> = Arc::default();
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let [first, second] = [0, 3].map(|after| exchange(now + seconds(after)));
        let entries = [flights.enter(&second), flights.enter(&first)];
        let ages = |age, now: Instant| {
            let found = flights.older_than(seconds(age), now, Vec::new());
            let ages = found.iter().map(|it| (now - it.origin().since).as_secs());
            ages.collect::<Vec<_>>()
        };
        let later = now + seconds(5);
        assert_eq!(ages(0, later), [5, 2]);
        assert_eq!(ages(5, later), [5]);
        assert_eq!(ages(6, later), [0; 0]);
        drop(entries);
        assert_eq!(ages(0, later), [0; 0]);
    }

    #[test]
    fn listed_ones_are_found_once_and_while_they_are_open() {
        let flights: Arc<Flights> = Arc::default();
        let now = Instant::now();
        let [waits, works, ended] =
            [0, 1, 1].map(|after| exchange(now + Duration::from_secs(after)));
        let _entry = flights.enter(&waits);
        ended.finish(Over::Answered);
        let listed = vec![ended, Arc::clone(&works), Arc::clone(&waits)];
        works.list(0);
        waits.list(1);
        assert_eq!(flights.count(&listed), 2);
        let found = flights.older_than(Duration::ZERO, now + Duration::from_secs(1), listed);
        let found: Vec<_> = found.iter().map(Arc::as_ptr).collect();
        assert_eq!(found, [Arc::as_ptr(&waits), Arc::as_ptr(&works)]);
    }
}
