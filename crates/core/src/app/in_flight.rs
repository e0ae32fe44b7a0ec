//! `InFlight`: the requests in flight as Python sees them, from any thread, also while the event loop is stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::calls::Calls;
use granian_net::exchange::app::Address;
use granian_net::exchange::flights::{Flight, Flights};
use granian_net::exchange::place::Place;
use granian_net::proxies::Proxies;
use granian_proto::percent;

/// See the module's documentation.
#[pyclass(frozen, module = "granian._granian")]
pub(crate) struct InFlight {
    flights: Arc<Flights>,
    calls: Arc<Calls>,
    proxies: Option<Arc<Proxies>>,
}

impl InFlight {
    /// `proxies` tell who the clients are.
    pub(crate) fn new(
        flights: Arc<Flights>,
        calls: Arc<Calls>,
        proxies: Option<Arc<Proxies>>,
    ) -> Self {
        Self {
            flights,
            calls,
            proxies,
        }
    }
}

#[pymethods]
impl InFlight {
    /// The facts of requests that have lasted for so many seconds and whose number is `first` or a later one, the
    /// oldest first and `limit` at most: number, age in seconds, place, method, path, client, name, task, number of the
    /// thread. And the number of all such requests.
    fn older_than<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        first: u64,
        limit: usize,
    ) -> PyResult<(Bound<'py, PyList>, usize)> {
        let now = Instant::now();
        let age = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let mut found = self.flights.older_than(age, now);
        found.retain(|flight| flight.number >= first);
        let list = PyList::empty(py);
        for flight in found.iter().take(limit) {
            if let Some(facts) = self.facts(py, flight, now)? {
                list.append(facts)?;
            }
        }
        Ok((list, found.len()))
    }

    fn __len__(&self) -> usize {
        self.flights.len()
    }
}

impl InFlight {
    fn facts<'py>(
        &self,
        py: Python<'py>,
        flight: &Flight,
        now: Instant,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let exchange = &flight.exchange;
        let Some(origin) = exchange.origin() else {
            return Ok(None);
        };
        let age = now.saturating_duration_since(origin.since).as_secs_f64();
        let place = match exchange.place() {
            Place::Body => "body",
            Place::Queue => "queue",
            Place::Application => "application",
            Place::Send => "send",
        };
        let proxies = self.proxies.as_ref();
        let client = proxies.map(|proxies| proxies.client(&origin.peer, Some(&origin.head)));
        let client = match &client.as_ref().unwrap_or(&origin.peer).remote {
            // A proxy does not always tell the port.
            Address::Ip(address) if address.port() == 0 => address.ip().to_string(),
            Address::Ip(address) => address.to_string(),
            Address::Unix(_) => String::new(),
        };
        let facts = (
            flight.number,
            age,
            place,
            origin.head.method(),
            percent::decode_lossy(origin.head.path()),
            client,
            exchange.request_id(),
            self.calls.task_of(py, exchange),
            exchange.thread(),
        );
        facts.into_pyobject(py).map(Some)
    }
}
