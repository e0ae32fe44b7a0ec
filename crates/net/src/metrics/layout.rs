//! The places of a page: which word is what. Readers in other languages take them from [`fields`].

use granian_proto::Version;

use crate::close::CloseCause;

/// One number, or a row of numbers by labels, on a page.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its first word.
    pub at: usize,
    /// The kind of number.
    pub kind: Kind,
    /// The labels with their values, the last one changing fastest.
    pub axes: &'static [Axis],
}

/// A label, and its values in order.
pub type Axis = (&'static str, &'static [&'static str]);

/// A kind of number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// A count for each bound (values up to it and above the one before), one for all above, and the sum.
    Histogram(&'static [u64]),
}

/// A histogram's place.
pub(super) struct Histogram {
    pub(super) at: usize,
    pub(super) bounds: &'static [u64],
}

/// First words.
pub mod at {
    use super::{CLASSES, CloseCause, PROTOCOLS, SIZES, TIMES};

    /// Tells a page that a worker has written on.
    pub const MAGIC: usize = 0;
    /// When the loop is to tick next: the system's monotonic clock, ns.
    pub const TICK_DUE: usize = 1;
    /// How late the last tick was, ns.
    pub const LOOP_LAG: usize = 2;
    /// 1: the worker drains.
    pub const DRAINING: usize = 3;
    /// Open connections.
    pub const CONNECTIONS: usize = 4;
    /// Those of them that speak HTTP/2.
    pub const HTTP2: usize = 5;
    /// Open websockets, on connections or streams of their own.
    pub const WEBSOCKETS: usize = 6;
    /// Requests whose application was called and whose answer is not complete.
    pub const IN_FLIGHT: usize = 7;
    /// Requests that wait for their turn.
    pub const WAITING: usize = 8;
    /// Threads that call a WSGI application.
    pub const THREADS: usize = 9;
    /// Calls that wait for one of them.
    pub const THREADS_QUEUE: usize = 10;
    /// Accepted connections.
    pub const ACCEPTED: usize = 11;
    /// Requests that were answered whole, by the application or with a file.
    pub const HANDLED: usize = 12;
    /// Requests whose answer was cut off, or that got none.
    pub const CUT: usize = 13;
    /// Requests whose client left before the application was called.
    pub const ABANDONED: usize = 14;
    /// Websockets that were opened.
    pub const WEBSOCKETS_OPENED: usize = 15;
    /// Requests for static files.
    pub const STATIC_HANDLED: usize = 16;
    /// Those of them without a file.
    pub const STATIC_MISSED: usize = 17;
    /// Time that threads have spent in calls, ns.
    pub const THREADS_BUSY: usize = 18;
    /// Time that they have waited for calls, ns.
    pub const THREADS_IDLE: usize = 19;
    /// Time that they have waited for the interpreter, ns.
    pub const PYTHON_WAIT: usize = 20;
    /// Entries that were put into the ring.
    pub const RING_COUNT: usize = 21;
    /// Open connections that carry a websocket.
    pub const WEBSOCKET_CONNECTIONS: usize = 22;
    /// Requests whose body is waited for before the application is called.
    pub const READING: usize = 23;
    /// Requests for files that were refused, since too many others waited for the disk.
    pub const STATIC_BUSY: usize = 24;
    /// Answers by protocol and class of status.
    pub const REQUESTS: usize = 25;
    /// Ends of connections by cause.
    pub const CLOSED: usize = REQUESTS + PROTOCOLS.len() * CLASSES.len();
    /// Limits that were reached.
    pub const LIMITED: usize = CLOSED + CloseCause::NAMES.len();
    /// The first of the histograms.
    pub const QUEUE: usize = LIMITED + super::LIMITS.len();
    const TIME: usize = TIMES.len() + 2;
    const SIZE: usize = SIZES.len() + 2;
    /// From the head to the first byte of the answer.
    pub const FIRST_BYTE: usize = QUEUE + TIME;
    /// From the head to the last byte of the answer.
    pub const DURATION: usize = FIRST_BYTE + TIME;
    /// How late ticks of the loop were.
    pub const LAG: usize = DURATION + TIME;
    /// Bytes of requests' bodies.
    pub const RECEIVED: usize = LAG + TIME;
    /// Bytes of answers' bodies.
    pub const SENT: usize = RECEIVED + SIZE;
    /// The exchanges in progress.
    pub const ROWS: usize = SENT + SIZE;
    /// The last exchanges that were slow or failed.
    pub const RING: usize = ROWS + super::ROWS * super::row::WORDS;
    /// Numbers by the routes that applications name.
    pub const ROUTES: usize = RING + super::RING * super::ring::WORDS;
    /// Behind the last word.
    pub const END: usize = ROUTES + super::ROUTES * super::route::WORDS;
}

/// The words of an exchange. Word 0 is 0 in a row that nobody has.
pub mod row {
    /// The state's bits, and above them a number that differs from exchange to exchange.
    pub const STATE: usize = 0;
    /// Times on the system's monotonic clock, ns; 0 for what has not been. The head has come.
    pub const ARRIVED: usize = 1;
    /// As much of the body has come as the application wants to start with.
    pub const READY: usize = 2;
    /// The application was called.
    pub const CALLED: usize = 3;
    /// The first byte of the answer was made.
    pub const FIRST: usize = 4;
    /// Bytes of the request's body that have come.
    pub const RECEIVED: usize = 5;
    /// Bytes of the answer's body that were sent.
    pub const SENT: usize = 6;
    /// From the lowest bit: status (16), protocol (8), lengths of method and path (8 each), 0, 4 or 6 for the client's
    /// address (8), its port (16).
    pub const FACTS: usize = 7;
    /// The client's IP address, 16 bytes.
    pub const ADDRESS: usize = 8;
    /// The method.
    pub const METHOD: usize = 10;
    /// Bytes of a method that are kept.
    pub const METHOD_BYTES: usize = 16;
    /// The path, without the query.
    pub const PATH: usize = METHOD + METHOD_BYTES / 8;
    /// Bytes of a path that are kept.
    pub const PATH_BYTES: usize = 112;
    /// All of them.
    pub const WORDS: usize = PATH + PATH_BYTES / 8;

    /// Bits of the state: the request waits for its turn.
    pub const IS_WAITING: u64 = 1;
    /// The application was called.
    pub const IS_CALLED: u64 = 2;
    /// The answer has begun.
    pub const IS_ANSWERING: u64 = 4;
    /// Nothing of the answer's body goes out.
    pub const IS_BODILESS: u64 = 8;
    /// The request's body is waited for.
    pub const IS_READING: u64 = 16;
    /// The row is taken.
    pub const IS_TAKEN: u64 = 128;
    /// Bits of the number above the state.
    pub const NUMBER: u32 = 8;
}

/// The words of an entry of the ring: those of a row behind three of its own.
pub mod ring {
    /// Its number, from 1; odd words are never seen half written: it is 0 meanwhile.
    pub const NUMBER: usize = 0;
    /// When the exchange ended, ns.
    pub const ENDED: usize = 1;
    /// 1 if the answer was cut off.
    pub const CUT: usize = 2;
    /// The row.
    pub const ROW: usize = 3;
    /// All of them.
    pub const WORDS: usize = ROW + super::row::WORDS;
}

/// The words of a route.
pub mod route {
    use super::{CLASSES, TIMES};

    /// Bytes of its name; 0 in a row without a route.
    pub const LENGTH: usize = 0;
    /// Its name.
    pub const NAME: usize = 1;
    /// Bytes of a name that are kept.
    pub const NAME_BYTES: usize = 128;
    /// Answers by class of status.
    pub const STATUSES: usize = NAME + NAME_BYTES / 8;
    /// From the head to the last byte of the answer.
    pub const DURATION: usize = STATUSES + CLASSES.len();
    /// All of them.
    pub const WORDS: usize = DURATION + TIMES.len() + 2;
}

/// Routes, the last row is for all that find no other.
pub const ROUTES: usize = 101;
/// Rows of exchanges in progress. Those above are counted, and not shown.
pub const ROWS: usize = 256;
/// Entries of the ring.
pub const RING: usize = 100;
/// Bytes of a page.
pub const BYTES: usize = at::END * 8;
/// Written by a worker on its page. It changes with the places.
pub const MAGIC: u64 = 0x6772_616e_6961_0007;

/// Names of [`Version`]s.
pub const PROTOCOLS: [&str; 3] = ["http/1.0", "http/1.1", "http/2"];
/// Classes of status; `none` is an exchange that ended without one.
pub const CLASSES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other", "none"];

/// Names of [`Limit`](crate::close::Limit)s.
pub const LIMITS: [&str; 22] = [
    "http1_buffer_size",
    "http2_max_headers_size",
    "max_headers",
    "max_target_size",
    "max_body_size",
    "wsgi_spool_limit",
    "wsgi_spool_total",
    "max_requests_per_connection",
    "max_connections",
    "max_connections_per_client",
    "max_queued_requests",
    "queue_timeout",
    "overload",
    "http1_header_read_timeout",
    "keep_alive_timeout",
    "http2_idle_timeout",
    "request_body_timeout",
    "request_body_min_rate",
    "write_timeout",
    "request_timeout",
    "blocking_threads",
    "ssl_handshake_timeout",
];

const MICRO: u64 = 1000;
const MILLI: u64 = 1000 * MICRO;
/// Bounds of times, ns.
const TIMES: [u64; 16] = [
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    1_000 * MILLI,
    2_500 * MILLI,
    5_000 * MILLI,
    15_000 * MILLI,
    60_000 * MILLI,
];
/// Bounds of sizes, bytes.
const SIZES: [u64; 9] = [
    0,
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 20,
    1 << 24,
    1 << 28,
];

pub(super) const QUEUE: Histogram = Histogram {
    at: at::QUEUE,
    bounds: &TIMES,
};
pub(super) const FIRST_BYTE: Histogram = Histogram {
    at: at::FIRST_BYTE,
    bounds: &TIMES,
};
pub(super) const DURATION: Histogram = Histogram {
    at: at::DURATION,
    bounds: &TIMES,
};
pub(super) const LAG: Histogram = Histogram {
    at: at::LAG,
    bounds: &TIMES,
};
pub(super) const RECEIVED: Histogram = Histogram {
    at: at::RECEIVED,
    bounds: &SIZES,
};
pub(super) const SENT: Histogram = Histogram {
    at: at::SENT,
    bounds: &SIZES,
};

/// The word of answers of this protocol with this status.
pub(super) fn requests(version: Version, status: u16) -> usize {
    at::REQUESTS + protocol(version) * CLASSES.len() + class(status)
}

/// The place of a status in [`CLASSES`].
pub(super) fn class(status: u16) -> usize {
    match status {
        0 => 6,
        100..=599 => usize::from(status / 100) - 1,
        _ => 5,
    }
}

/// The durations of the route whose row begins at `first`.
pub(super) fn route_duration(first: usize) -> Histogram {
    Histogram {
        at: first + route::DURATION,
        bounds: &TIMES,
    }
}

/// The place of a version in [`PROTOCOLS`].
pub(super) fn protocol(version: Version) -> usize {
    match version {
        Version::Http10 => 0,
        Version::Http11 => 1,
        Version::Http2 => 2,
    }
}

/// All numbers of a page, but for the exchanges.
pub fn fields() -> Vec<Field> {
    let field = |name, at, kind| Field {
        name,
        at,
        kind,
        axes: &[],
    };
    let counter = |name, at| field(name, at, Kind::Counter);
    let labelled = |name, at, axes| Field {
        axes,
        ..counter(name, at)
    };
    let gauge = |name, at| field(name, at, Kind::Gauge);
    let histogram = |name, place: &Histogram| field(name, place.at, Kind::Histogram(place.bounds));
    vec![
        gauge("magic", at::MAGIC),
        gauge("tick_due", at::TICK_DUE),
        gauge("loop_lag", at::LOOP_LAG),
        gauge("draining", at::DRAINING),
        gauge("connections", at::CONNECTIONS),
        gauge("http2_connections", at::HTTP2),
        gauge("websockets", at::WEBSOCKETS),
        gauge("websocket_connections", at::WEBSOCKET_CONNECTIONS),
        gauge("in_flight", at::IN_FLIGHT),
        gauge("waiting", at::WAITING),
        gauge("reading", at::READING),
        gauge("threads", at::THREADS),
        gauge("threads_queue", at::THREADS_QUEUE),
        counter("accepted", at::ACCEPTED),
        counter("handled", at::HANDLED),
        counter("cut", at::CUT),
        counter("abandoned", at::ABANDONED),
        counter("websockets_opened", at::WEBSOCKETS_OPENED),
        counter("static_handled", at::STATIC_HANDLED),
        counter("static_missed", at::STATIC_MISSED),
        counter("static_busy", at::STATIC_BUSY),
        counter("threads_busy", at::THREADS_BUSY),
        counter("threads_idle", at::THREADS_IDLE),
        counter("python_wait", at::PYTHON_WAIT),
        counter("ring_count", at::RING_COUNT),
        labelled(
            "requests",
            at::REQUESTS,
            &[("protocol", &PROTOCOLS), ("status", &CLASSES)],
        ),
        labelled("closed", at::CLOSED, &[("cause", &CloseCause::NAMES)]),
        labelled("limited", at::LIMITED, &[("limit", &LIMITS)]),
        histogram("queue_time", &QUEUE),
        histogram("first_byte_time", &FIRST_BYTE),
        histogram("duration", &DURATION),
        histogram("lag", &LAG),
        histogram("received", &RECEIVED),
        histogram("sent", &SENT),
    ]
}
