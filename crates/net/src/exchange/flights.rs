//! `Flights`: the requests in flight of one worker, from the head of each to the last byte of its answer. Any thread may
//! look at them, while the loop's own thread is stuck too.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use slab::Slab;

use super::Exchange;
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub struct Flights {
    /// The loop's thread enters and removes requests, one that watches reads; each holds it for a few moves.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flights: Slab<Flight>,
    /// The number of the next one.
    next: u64,
}

/// A request in flight.
#[derive(Clone)]
pub struct Flight {
    /// Its number among all of this worker.
    pub number: u64,
    /// The request and its answer.
    pub exchange: Arc<Exchange>,
}

/// A request's entry; its drop removes it.
pub(crate) struct InFlight {
    flights: Arc<Flights>,
    key: usize,
}

impl Flights {
    /// Enters the request of `exchange`.
    pub(crate) fn enter(self: &Arc<Self>, exchange: Arc<Exchange>) -> InFlight {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        InFlight {
            flights: Arc::clone(self),
            key: state.flights.insert(Flight { number, exchange }),
        }
    }

    /// Those that have lasted for `age` at `now`, the oldest first.
    pub fn older_than(&self, age: Duration, now: Instant) -> Vec<Flight> {
        let is_old = |flight: &Flight| {
            let origin = flight.exchange.origin();
            origin.is_some_and(|origin| now.saturating_duration_since(origin.since) >= age)
        };
        let mut found: Vec<Flight> = {
            let state = lock(&self.state);
            let flights = state.flights.iter().map(|(_, flight)| flight);
            flights.filter(|flight| is_old(flight)).cloned().collect()
        };
        found.sort_unstable_by_key(|flight| flight.number);
        found
    }

    /// The number of all.
    pub fn len(&self) -> usize {
        lock(&self.state).flights.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let removed = lock(&self.flights.state).flights.try_remove(self.key);
        drop(removed); // outside the lock
    }
}

#[cfg(test)]
mod tests {
    use granian_proto::{RequestHeadBuilder, Version};

    use super::super::origin::Origin;
    use super::*;
    use crate::testing::peer;

    #[test]
    fn the_old_ones_are_found() {
        let flights: Arc<Flights> = Arc::default();
        let now = Instant::now();
        let enter = |since| {
            let head = RequestHeadBuilder::new(Version::Http11, "GET", b"/").build();
            let (head, peer) = (Arc::new(head), peer());
            let origin = Origin {
                head,
                peer,
                since,
                id: None,
            };
            flights.enter(Arc::new(Exchange::of(origin, false, 1000)))
        };
        let first = enter(now);
        let second = enter(now + Duration::from_secs(3));
        let numbers = |age, now| {
            let found = flights.older_than(Duration::from_secs(age), now);
            found.iter().map(|flight| flight.number).collect::<Vec<_>>()
        };
        let later = now + Duration::from_secs(5);
        assert_eq!(numbers(0, later), [0, 1]);
        assert_eq!(numbers(5, later), [0]);
        assert_eq!(numbers(6, later), [0; 0]);
        drop(first);
        assert_eq!(numbers(0, later), [1]);
        drop(second);
        assert!(flights.is_empty());
    }
}
