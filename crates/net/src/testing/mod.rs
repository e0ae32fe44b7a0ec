//! The parts of drive-loop tests: a reactor with a clock that the test moves, streams in memory, an
//! application that the test plays itself. Scripts read like the wire.

mod app;
mod pair;
mod wire;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use self::app::TestApp;
pub(crate) use self::pair::{End, pair};
pub(crate) use self::wire::Wire;
use granian_proto::{PaceBounds, RequestHeadBuilder, Version};

use crate::exchange::app::{Address, Peer};
use crate::exchange::origin::Origin;
use crate::exchange::spool::Spools;
use crate::exchange::{Exchange, Windows};
use crate::limits::{
    ConnectionLimits, Http1Limits, Http2Limits, Limits, LineLimits, Mechanisms, OverloadLimits,
    RequestLimits, Timeouts, Versions, WebSocketLimits,
};
use crate::metrics::{Metrics, Page, layout};
use crate::placement::shared::Shared;
use crate::runtime::reactor::{Reactor, TaskHandle};
use crate::service::{AfterDrain, Service, Stage};

/// A reactor and the service that it drives. Clones are the same.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) reactor: Reactor,
    pub(crate) app: Rc<TestApp>,
    pub(crate) service: Rc<Service>,
    pub(crate) metrics: Rc<Metrics>,
    /// Turns in a row without anything to do.
    quiet: Rc<Cell<usize>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(limits())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let app = Rc::new(TestApp::default());
        let reactor = Reactor::new().unwrap();
        reactor.clock().advance(Duration::ZERO);
        let metrics = metrics();
        let spools = Spools::new(limits.wsgi_spool_limit, MOST_SPOOLED);
        let shared = Shared::new(&limits, &spools);
        shared.pace(&limits);
        let service = Service::new(Rc::clone(&app) as Rc<_>, limits, &shared);
        let service = Rc::new(service.measured(Some(Rc::clone(&metrics))));
        service.patrol(&reactor).unwrap();
        Self {
            reactor,
            service,
            app,
            metrics,
            quiet: Rc::default(),
        }
    }

    /// Runs `future` as a task; `make` gets its handle.
    pub(crate) fn spawn<F>(&self, make: impl FnOnce(TaskHandle) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.reactor.spawn(|handle| Ok(make(handle))).unwrap();
    }

    /// Turns until the script is done.
    ///
    /// # Panics
    /// When nothing happens any more and the script still waits.
    pub(crate) fn run<T>(&self, script: impl Future<Output = T>) -> T {
        let mut script = pin!(script);
        self.quiet.set(0);
        loop {
            let polled = script
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(result) = polled {
                return result;
            }
            let quiet = self.quiet.get() + 1;
            self.quiet.set(if self.reactor.turn() { 0 } else { quiet });
            assert!(quiet < PATIENCE, "the script waits for what never happens");
        }
    }

    /// Lets one turn pass.
    pub(crate) async fn turn(&self) {
        let mut has_passed = false;
        poll_fn(|_| match std::mem::replace(&mut has_passed, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Lets everything happen that can without time passing.
    pub(crate) async fn settle(&self) {
        self.quiet.set(0);
        poll_fn(|_| match self.quiet.get() < SETTLED {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// The worker begins to drain, for good.
    pub(crate) fn drain(&self) {
        let now = self.reactor.clock().now();
        self.service.drain(now, AfterDrain::Nothing);
        self.reactor.wake_all();
    }

    /// The worker cuts what is left.
    pub(crate) fn cancel(&self) {
        self.service.stage.set(Stage::Cancelled);
        self.reactor.wake_all();
    }

    /// Lets time pass, then everything happen.
    pub(crate) async fn pass(&self, time: Duration) {
        self.settle().await;
        self.reactor.clock().advance(time);
        self.settle().await;
    }
}

/// Numbers on a page of their own.
fn metrics() -> Rc<Metrics> {
    let file = tempfile::tempfile().unwrap();
    file.set_len(layout::BYTES as u64).unwrap();
    let page = Arc::new(Page::map(&file).unwrap());
    Rc::new(Metrics::new(page, Duration::from_secs(1)))
}

/// A client somewhere.
pub(crate) fn peer() -> Arc<Peer> {
    Arc::new(Peer {
        number: 1,
        local: Address::Ip(([127, 0, 0, 1], 8000).into()),
        remote: Address::Ip(([127, 0, 0, 1], 50_000).into()),
        scheme: "http",
        tls: None,
        is_relayed: false,
        memo: Default::default(),
    })
}

/// A request of HTTP/1.1 without fields, that has come now.
pub(crate) fn origin(method: &str, target: &[u8]) -> Origin {
    Origin {
        head: Arc::new(RequestHeadBuilder::new(Version::Http11, method, target).build()),
        peer: peer(),
        prefix: None,
        since: Instant::now(),
        id: None,
    }
}

/// The exchange of a request that does not matter.
pub(crate) fn exchange(has_body: bool, window: usize) -> Exchange {
    Exchange::new(origin("GET", b"/"), has_body, Windows::even(window))
}

/// One request at once. One that waits has 100 ms; those that come when the line has stood for 50 ms have 5 ms.
pub(crate) fn standing_line(limits: &mut Limits) {
    limits.backpressure = 1;
    limits.line.overload = Some(OverloadLimits {
        target: Duration::from_millis(5),
        interval: Duration::from_millis(100),
    });
}

/// Bounds as a worker has them by default.
pub(crate) fn limits() -> Limits {
    Limits {
        http: Versions::All,
        http1: Http1Limits {
            keep_alive: true,
            max_buffer_size: 65_536,
        },
        http2: Http2Limits {
            adaptive_window: false,
            initial_connection_window_size: 1 << 20,
            initial_stream_window_size: 1 << 20,
            keep_alive_interval: None,
            keep_alive_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(180),
            max_concurrent_streams: 200,
            max_frame_size: 16_384,
            max_headers_size: 65_536,
            max_send_buffer_size: 400 * 1024,
            upgrade: true,
        },
        websocket: WebSocketLimits {
            enabled: true,
            ping_interval: None,
            ping_timeout: None,
            max_size: 1 << 24,
            queue_size: 1 << 20,
            deflate: false,
            idle_timeout: None,
            close_timeout: Duration::from_secs(10),
        },
        timeouts: Timeouts {
            head: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            body_pace: PaceBounds {
                timeout: Duration::from_secs(60),
                min_rate: None,
            },
            write: Duration::from_secs(60),
            request: None,
        },
        request: RequestLimits {
            max_headers: 256,
            max_target_size: 16_384,
            max_body_size: None,
        },
        connections: ConnectionLimits::default(),
        backpressure: 1000,
        wsgi_spool_limit: 4 << 20,
        line: LineLimits::default(),
        has_gil: false,
        mechanisms: Mechanisms::default(),
        window: 65_536,
        most_body_window: 65_536,
    }
}

/// Bytes of all temporary files.
const MOST_SPOOLED: u64 = 16 << 20;
/// Turns in a row without anything to do, after which nothing happens by itself, and after which a
/// script that still waits has failed.
const SETTLED: usize = 3;
const PATIENCE: usize = 16;
