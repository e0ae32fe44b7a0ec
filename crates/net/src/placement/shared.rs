//! `Shared`: what the services of several threads count together, so that a worker's bounds hold for all of its threads.

use std::sync::Arc;

use crate::admission::adaptive::AdaptiveLimit;
use crate::admission::pace::By;
use crate::admission::queue::Queue;
use crate::budget::Budget;
use crate::complaint::Complaint;
use crate::crowd::Total;
use crate::exchange::flights::Flights;
use crate::exchange::spool::Spools;
use crate::limits::Limits;
use crate::runtime::load::Load;

/// See the module's documentation. Clones are the same.
#[derive(Clone)]
pub struct Shared {
    pub(crate) total: Arc<Total>,
    pub(crate) queue: Queue,
    pub(crate) inflated: Budget,
    pub(crate) heads: Budget,
    pub(crate) spools: Budget,
    pub(crate) unspooled: Complaint,
    pub(crate) refused: Complaint,
    pub(crate) unaccepted: Complaint,
    /// The requests in flight.
    pub flights: Arc<Flights>,
}

impl Shared {
    /// Nothing yet, within these limits. Bodies that wait in temporary files count in `spools`.
    pub fn new(limits: &Limits, spools: &Spools) -> Self {
        let is_adaptive = limits.has_gil && limits.mechanisms.adaptive_limit;
        let adaptive = AdaptiveLimit::new(is_adaptive.then(Load::default));
        Self {
            total: Arc::default(),
            queue: Queue::new(limits.backpressure, adaptive),
            inflated: Budget::new(limits.websocket.max_inflated()),
            heads: Budget::new(MAX_HEADS),
            spools: spools.all.clone(),
            unspooled: Complaint::default(),
            refused: Complaint::default(),
            unaccepted: Complaint::default(),
            flights: Arc::default(),
        }
    }

    /// The application is called on the one thread of the connections: its calls begin so many in a turn, where it
    /// matters for how long requests wait.
    pub fn pace(&self, limits: &Limits) {
        self.queue.pace(limits.line.longest_turn(), By::Turns);
    }

    /// The same where the application is called on another thread than those of the connections.
    pub fn pace_rounds(&self, limits: &Limits) {
        self.queue.pace(limits.line.longest_turn(), By::Rounds);
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.total.open()
    }
}

/// Bytes of large heads that a worker's streams hold, beside one head for each connection.
const MAX_HEADS: usize = 32 * 1024 * 1024;
