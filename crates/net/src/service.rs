//! `Service`: the state that all connections of a thread share: limits, counters, the date, the
//! drain. `placement::shared` has the part that threads of one worker share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use granian_proto::{PeerError, RequestHead, Version, ws};

use crate::admission::line::Line;
use crate::admission::queue::{Permit, Queue};
use crate::budget::Budget;
use crate::close::{CloseCause, CloseCounts, Limit, LimitCounts};
use crate::complaint::Complaint;
use crate::crowd::Crowd;
use crate::exchange::app::{App, Peer};
use crate::exchange::flights::Flights;
use crate::exchange::origin::Origin;
use crate::exchange::record::{Answer, Interest, Record};
use crate::exchange::request_ids::RequestIds;
use crate::exchange::{Exchange, spool};
use crate::expansion::Expansion;
use crate::limits::Limits;
use crate::metrics::{Meter, Metrics};
use crate::placement::shared::Shared;
use crate::proxies::Proxies;
use crate::runtime::reactor::Reactor;
use crate::stream::buffers::Buffers;
use crate::stream::early::EarlyWriter;
use crate::tls::config::TlsConfig;

/// One per reactor and role, on the reactor's thread.
pub struct Service {
    /// Answers the requests.
    pub app: Rc<dyn App>,
    /// What its journal reads of answers.
    interest: Option<Interest>,
    pub(crate) limits: Limits,
    /// The proxies in front, if any are trusted.
    proxies: Option<Rc<Proxies>>,
    /// The writer for responses that are made on the connections' own thread.
    pub(crate) early: EarlyWriter,
    /// The codecs of compressed WebSocket messages.
    pub(crate) codecs: Rc<ws::Codecs>,
    /// For messages that were inflated and that no application has taken.
    pub(crate) inflated: Budget,
    /// For messages that are inflated to many times their size.
    pub(crate) expansion: Expansion,
    /// For large heads that were decoded from references, until their streams are over.
    pub(crate) heads: Budget,
    /// For bodies that are kept in files until they are whole.
    pub(crate) spools: Budget,
    /// The stage of the worker's life.
    pub stage: Cell<Stage>,
    /// The state after the drain.
    pub(crate) after_drain: Cell<AfterDrain>,
    /// The certificates for new connections; without it they are plain.
    tls: RefCell<Option<Arc<TlsConfig>>>,
    pub(crate) crowd: Rc<Crowd>,
    /// Connections that have ended.
    pub closed: CloseCounts,
    /// Limits that requests and connections have reached.
    pub limited: LimitCounts,
    /// The permits of calls that have not ended.
    pub queue: Queue,
    /// The bounds of the line for them.
    pub(crate) line: Line,
    /// Responses that have left.
    pub handled: Cell<u64>,
    /// The numbers that others read; `None` where nobody does.
    metrics: Option<Rc<Metrics>>,
    /// The requests that wait.
    pub flights: Arc<Flights>,
    /// Gives requests their names, if they are to have any.
    request_ids: Option<RequestIds>,
    draining_since: Cell<Option<Instant>>,
    /// About the temporary folder.
    unspooled: Complaint,
    /// About the PROXY protocol.
    refused: Complaint,
    /// About a failing accept.
    unaccepted: Complaint,
    date: Cell<(Option<Instant>, [u8; 29])>,
    pub(crate) buffers: Buffers,
}

/// A stage of a worker's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Accepting connections and requests.
    Serving,
    /// Finishing the requests that run.
    Draining,
    /// Cutting the requests that are left.
    Cancelled,
}

/// The state of the service once its worker has drained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterDrain {
    /// No successor is known to this worker.
    Nothing,
    /// Another worker serves in its place.
    Restart,
}

impl Service {
    /// Serves `app` within `limits`, those that `shared` counts for all services that have it.
    pub fn new(app: Rc<dyn App>, limits: Limits, shared: &Shared) -> Self {
        Self {
            interest: app.journal().interest(),
            app,
            limits,
            proxies: None,
            early: EarlyWriter::new(),
            codecs: Rc::default(),
            inflated: shared.inflated.clone(),
            expansion: Expansion::default(),
            heads: shared.heads.clone(),
            spools: shared.spools.clone(),
            stage: Cell::new(Stage::Serving),
            after_drain: Cell::new(AfterDrain::Nothing),
            tls: RefCell::new(None),
            crowd: Rc::new(Crowd::new(limits.connections, Arc::clone(&shared.total))),
            closed: CloseCounts::default(),
            limited: LimitCounts::default(),
            queue: shared.queue.clone(),
            line: Line::new(limits.line),
            handled: Cell::new(0),
            metrics: None,
            flights: Arc::clone(&shared.flights),
            request_ids: None,
            draining_since: Cell::new(None),
            unspooled: shared.unspooled.clone(),
            refused: shared.refused.clone(),
            unaccepted: shared.unaccepted.clone(),
            date: Cell::new((None, [b' '; 29])),
            buffers: Buffers::default(),
        }
    }

    /// Writes its numbers to `metrics` as well.
    #[must_use]
    pub fn measured(self, metrics: Option<Rc<Metrics>>) -> Self {
        Self { metrics, ..self }
    }

    /// Gives requests names, in the field `header`, which is in lower case.
    #[must_use]
    pub fn naming(self, header: Option<&str>) -> Self {
        let request_ids = header.map(|name| RequestIds::new(name.as_bytes()));
        Self {
            request_ids,
            ..self
        }
    }

    /// The numbers that others read.
    pub(crate) fn metrics(&self) -> Option<&Rc<Metrics>> {
        self.metrics.as_ref()
    }

    /// Measures `exchange` from now on.
    pub(crate) fn meter(&self, exchange: &Exchange) -> Meter {
        Meter::begin(self.metrics(), exchange.origin())
    }

    /// The same behind these proxies.
    #[must_use]
    pub fn behind(mut self, proxies: Option<Rc<Proxies>>) -> Self {
        self.proxies = proxies;
        self
    }

    /// Starts the task that looks after the requests that wait to start.
    ///
    /// # Errors
    /// When `reactor` has no room for a task.
    pub fn patrol(self: &Rc<Self>, reactor: &Reactor) -> io::Result<()> {
        let service = Rc::clone(self);
        reactor.spawn(|handle| {
            Ok(poll_fn(move |cx| {
                if service.line.asks_unread() {
                    service.queue.begin_turn(handle.turn(), handle.now());
                }
                handle.set_deadline(service.queue.patrol(cx, handle.now()));
                Poll::<()>::Pending
            }))
        })
    }

    /// Begins the exchange of a request that has come at `now`.
    pub(crate) fn receive(
        &self,
        head: Arc<RequestHead>,
        peer: &Arc<Peer>,
        has_body: bool,
        now: Instant,
    ) -> Arc<Exchange> {
        let (mut head, id) = match &self.request_ids {
            Some(ids) => {
                let (head, id) = ids.name(Arc::unwrap_or_clone(head));
                (Arc::new(head), Some(id))
            }
            None => (head, None),
        };
        let mut peer = Arc::clone(peer);
        let proxies = self.proxies.as_ref();
        let prefix = proxies.and_then(|proxies| proxies.apply(Arc::make_mut(&mut head), &mut peer));
        let origin = Origin {
            head,
            peer,
            prefix,
            since: now,
            id,
        };
        Arc::new(Exchange::new(origin, has_body, self.limits.windows()))
    }

    /// The application is about to be called for the request of `exchange`, by this permit.
    pub(crate) fn begin_call(&self, exchange: &Exchange, permit: Permit, meter: &Meter) {
        let is_timed = self.interest.is_some() || self.metrics.is_some();
        // Once for all that want to know.
        let now = is_timed.then(Instant::now);
        if let Some(now) = now {
            meter.note_call(now);
        }
        exchange.begin_call(permit, self.interest.zip(now));
        exchange.set_called();
    }

    /// The connection has answered with that status, for that error, in place of the application. `version` is that of
    /// the connection where no head could be read.
    pub(crate) fn note_refusal(
        &self,
        peer: &Arc<Peer>,
        head: Option<&RequestHead>,
        version: Version,
        answer: (u16, PeerError),
    ) {
        if let Some(metrics) = &self.metrics {
            metrics.note_refusal(head.map_or(version, RequestHead::version), answer.0);
        }
        if self.interest.is_some() {
            let proxies = self.proxies.as_ref();
            let client = proxies.map(|proxies| proxies.client(peer, head));
            let version = head.map_or(version, RequestHead::version);
            let head = head.map(|head| Arc::new(head.clone()));
            self.app.journal().answered(&Record {
                peer: client.as_ref().unwrap_or(peer),
                head: head.as_ref(),
                given_id: None,
                answer: &Answer::of_refusal(version, answer, Instant::now()),
            });
        }
    }

    /// Tells of a body that found no room in the temporary folder, a line a minute.
    pub(crate) fn complain_of_spool(&self, now: Instant, error: &io::Error) {
        if self.unspooled.is_due(now) {
            self.app.journal().unspooled(&spool::folder(), error);
        }
    }

    /// Tells of connections that cannot be accepted, a line a minute.
    pub(crate) fn complain_of_accept(&self, now: Instant, error: &io::Error) {
        if self.unaccepted.is_due(now) {
            self.app.journal().accept_failed(error);
        }
    }

    /// True if the peer is a proxy that is believed, and so speaks for many clients.
    pub(crate) fn is_proxy(&self, peer: &Peer) -> bool {
        let proxies = self.proxies.as_ref();
        proxies.is_some_and(|proxies| proxies.trusts(peer))
    }

    /// The proxies in front, if every connection begins with their header.
    pub(crate) fn proxy_protocol(&self) -> Option<&Proxies> {
        let proxies = self.proxies.as_deref();
        proxies.filter(|proxies| proxies.has_protocol)
    }

    /// Tells of a connection that was refused because of the PROXY protocol, a line a minute.
    pub(crate) fn complain_of_proxy(&self, now: Instant, peer: &Peer, reason: &str) {
        if self.refused.is_due(now) {
            self.app.journal().proxy_refused(peer, reason);
        }
    }

    /// The certificates for new connections.
    pub(crate) fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.borrow().clone()
    }

    /// Secures the connections that are accepted from now on; open ones keep their certificates.
    pub fn set_tls(&self, config: Arc<TlsConfig>) {
        drop(self.tls.replace(Some(config))); // outside the borrow: it may hold Python objects
    }

    /// Begins the drain.
    pub fn drain(&self, now: Instant, after_drain: AfterDrain) {
        self.after_drain.set(after_drain);
        self.stage.set(Stage::Draining);
        if let Some(metrics) = &self.metrics {
            metrics.note_drain();
        }
        self.draining_since.set(Some(now));
    }

    /// The time until which a draining worker keeps a connection without a request, since its next
    /// request may be on the way. It is later for a connection whose first request `is_due`.
    pub(crate) fn drain_grace(&self, is_due: bool) -> Option<Instant> {
        let grace = if is_due { DUE_GRACE } else { IDLE_GRACE };
        self.draining_since.get().map(|since| since + grace)
    }

    /// The time by which the response to a request whose head has come at `now` must be complete.
    pub(crate) fn overdue_at(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.limits.timeouts.request?)
    }

    /// A request or a connection of `peer` has reached a limit.
    pub(crate) fn note_limit(&self, peer: &Peer, limit: Limit) {
        self.limited.add(limit);
        if let Some(metrics) = &self.metrics {
            metrics.note_limit(limit);
        }
        self.app.journal().limited(peer, limit);
    }

    /// A connection to `peer` has ended.
    pub(crate) fn note_closed(&self, peer: &Peer, cause: CloseCause) {
        self.closed.add(cause);
        if let Some(metrics) = &self.metrics {
            metrics.note_closed(cause);
        }
        if cause == CloseCause::WriteTimeout {
            self.note_limit(peer, Limit::WriteTimeout);
        }
        self.app.journal().closed(peer, cause);
    }

    /// The `date` field's value at `now` (RFC 9110, 5.6.7), made twice a second at most.
    pub(crate) fn date(&self, now: Instant) -> [u8; 29] {
        let (made, mut date) = self.date.get();
        if made.is_none_or(|made| now.duration_since(made) >= DATE_LIFE) {
            let text = httpdate::fmt_http_date(SystemTime::now());
            if text.len() == date.len() {
                date.copy_from_slice(text.as_bytes());
            }
            self.date.set((Some(now), date));
        }
        date
    }
}

/// Longer than any round trip between a request and the connection that was opened for it.
const DUE_GRACE: Duration = Duration::from_secs(1);
/// A busy client's next request comes within it and is answered with `connection: close`; closing
/// at once would cut requests that are on their way.
const IDLE_GRACE: Duration = Duration::from_millis(200);
const DATE_LIFE: Duration = Duration::from_millis(500);
