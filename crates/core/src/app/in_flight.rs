//! `InFlight`: the requests in flight as Python sees them, from any thread, also while the event loop is stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::calls::Calls;
use granian_net::exchange::Exchange;
use granian_net::exchange::app::Address;
use granian_net::exchange::flights::Flights;
use granian_net::exchange::place::Place;
use granian_proto::percent;

/// See the module's documentation.
#[pyclass(frozen, module = "granian._granian")]
pub(crate) struct InFlight {
    flights: Arc<Flights>,
    calls: Arc<Calls>,
    /// The times at which requests came are told from here on.
    origin: Instant,
}

impl InFlight {
    pub(crate) fn new(flights: Arc<Flights>, calls: Arc<Calls>) -> Self {
        let origin = Instant::now();
        Self {
            flights,
            calls,
            origin,
        }
    }
}

#[pymethods]
impl InFlight {
    /// The facts of requests that have lasted for so many seconds and came at `first` or later, the oldest first and
    /// `limit` at most: when it came, in nanoseconds; age in seconds, place, method, path, client, name, task, number of the
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
        let mut found = self.flights.older_than(age, now, self.calls.exchanges());
        found.retain(|exchange| self.came(exchange) >= first);
        let list = PyList::empty(py);
        for exchange in found.iter().take(limit) {
            list.append(self.facts(py, exchange, now)?)?;
        }
        Ok((list, found.len()))
    }

    fn __len__(&self) -> usize {
        self.flights.count(&self.calls.exchanges())
    }
}

impl InFlight {
    /// When its head was there, in nanoseconds.
    fn came(&self, exchange: &Exchange) -> u64 {
        let came = exchange
            .origin()
            .since
            .saturating_duration_since(self.origin);
        u64::try_from(came.as_nanos()).unwrap_or(u64::MAX)
    }

    fn facts<'py>(
        &self,
        py: Python<'py>,
        exchange: &Arc<Exchange>,
        now: Instant,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let origin = exchange.origin();
        let age = now.saturating_duration_since(origin.since).as_secs_f64();
        let place = match exchange.place() {
            Place::Body => "body",
            Place::Queue => "queue",
            Place::Application => "application",
            Place::Send => "send",
        };
        let client = match &origin.peer.remote {
            // A proxy does not always tell the port.
            Address::Ip(address) if address.port() == 0 => address.ip().to_string(),
            Address::Ip(address) => address.to_string(),
            Address::Unix(_) => String::new(),
        };
        let facts = (
            self.came(exchange),
            age,
            place,
            origin.head.method(),
            percent::decode_lossy(origin.head.path()),
            client,
            exchange.request_id(),
            self.calls.task_of(py, exchange),
            exchange.thread(),
        );
        facts.into_pyobject(py)
    }
}
