//! `Limits`: every bound that a worker is started with, in one place. A field that an option sets
//! has the option's name in its group (`granian.config`); the engines' own names of their bounds
//! are used here only.

use std::time::Duration;

use granian_proto::{PaceBounds, h1, ws};

use crate::exchange::Windows;

pub use crate::admission::line::{LineLimits, OverloadLimits};

/// Bounds that a worker is started with.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The versions of HTTP that peers may speak.
    pub http: Versions,
    /// Bounds of HTTP/1.
    pub http1: Http1Limits,
    /// Bounds of HTTP/2.
    pub http2: Http2Limits,
    /// Bounds of websockets.
    pub websocket: WebSocketLimits,
    /// Times that a peer may take, whatever protocol it speaks.
    pub timeouts: Timeouts,
    /// Sizes of a request, whatever protocol it comes by.
    pub request: RequestLimits,
    /// Numbers of connections, and of requests on one.
    pub connections: ConnectionLimits,
    /// Calls of the application at once.
    pub backpressure: usize,
    /// Requests that wait for that.
    pub line: LineLimits,
    /// Bytes of a body that the application wants whole, which waits in a file meanwhile.
    pub wsgi_spool_limit: u64,
    /// The application runs under a GIL: all its calls together use about one processor.
    pub has_gil: bool,
    /// The mechanisms that save work, unless an operator turns them off.
    pub mechanisms: Mechanisms,
    /// Bytes that an exchange holds in each direction before it pushes back.
    pub window: usize,
    /// The same of a body, for an application that takes so much at once. More than `window` where the application is
    /// on another thread.
    pub most_body_window: usize,
}

impl Limits {
    /// Of each exchange.
    pub(crate) fn windows(&self) -> Windows {
        Windows {
            first: self.window,
            most: self.most_body_window,
        }
    }

    /// The bounds of the HTTP/1 engine.
    pub(crate) fn http1_engine(&self) -> h1::Options {
        h1::Options {
            max_head_size: self.http1.max_buffer_size,
            max_target_size: self.request.max_target_size,
            max_fields: self.request.max_headers,
            max_body_size: self.request.max_body_size,
            head_timeout: self.timeouts.head,
            idle_timeout: self.timeouts.keep_alive,
            discard_timeout: self.timeouts.head,
            body_pace: self.timeouts.body_pace,
            keep_alive: self.http1.keep_alive,
        }
    }
}

/// The versions of HTTP that peers may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versions {
    /// HTTP/1.0, 1.1 and 2.
    All,
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// Times that a peer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Time for a request's head to arrive whole. On a new connection it counts from the accept. The end of a
    /// request body that is thrown away has as much.
    pub head: Duration,
    /// Time for the next request of an HTTP/1 connection to begin.
    pub keep_alive: Duration,
    /// Time for the next piece of a request body that is waited for, and the rate of all of it.
    pub body_pace: PaceBounds,
    /// Time for the peer to take some of the bytes that wait for it.
    pub write: Duration,
    /// Time from a request's head to the end of its response, whoever takes it; `None` for any.
    pub request: Option<Duration>,
}

/// Sizes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestLimits {
    /// Fields of its head, and of its trailers.
    pub max_headers: usize,
    /// Bytes of its target.
    pub max_target_size: usize,
    /// Bytes of its body; `None` for any.
    pub max_body_size: Option<u64>,
}

/// Bounds of connections.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// Open ones; `None` for as many as there are descriptors.
    pub max: Option<usize>,
    /// Open ones of one client; `None` for any number.
    pub per_client: Option<usize>,
    /// Requests on one; `None` for any number.
    pub max_requests: Option<u64>,
}

/// Mechanisms that save work; all are on by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mechanisms {
    /// Requests wait for others while the process is saturated.
    pub adaptive_limit: bool,
    /// Small responses leave together with those of other connections.
    pub deferred_writes: bool,
    /// Pieces of a body that is made on the loop's thread gather while a thread may send them.
    pub early_writes: bool,
}

impl Default for Mechanisms {
    fn default() -> Self {
        Self {
            adaptive_limit: true,
            deferred_writes: true,
            early_writes: true,
        }
    }
}

/// Bounds of HTTP/1.
#[derive(Clone, Copy)]
pub struct Http1Limits {
    /// A connection may carry more than one request.
    pub keep_alive: bool,
    /// Bytes of a request's head.
    pub max_buffer_size: usize,
}

/// Bounds of HTTP/2.
#[derive(Clone, Copy)]
pub struct Http2Limits {
    /// The windows follow the capacity of the path; the sizes below are the smallest.
    pub adaptive_window: bool,
    /// Bytes that the peer may send on all streams before the application has read them.
    pub initial_connection_window_size: u32,
    /// The same for one stream.
    pub initial_stream_window_size: u32,
    /// Time without input after which the peer is pinged.
    pub keep_alive_interval: Option<Duration>,
    /// Time for the answer to the ping.
    pub keep_alive_timeout: Duration,
    /// Time that a connection which has served requests may stay without input and output.
    pub idle_timeout: Duration,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: u32,
    /// SETTINGS_MAX_FRAME_SIZE, bytes.
    pub max_frame_size: u32,
    /// Bytes of a decoded header section, counted as RFC 9113, 6.5.2 has it.
    pub max_headers_size: u32,
    /// Bytes of one stream that the codec holds.
    pub max_send_buffer_size: usize,
    /// A connection without TLS may be upgraded from HTTP/1.1.
    pub upgrade: bool,
}

/// Bounds of websockets.
#[derive(Clone, Copy)]
pub struct WebSocketLimits {
    /// Whether peers may open any.
    pub enabled: bool,
    /// A ping goes out when one side has been silent for this long.
    pub ping_interval: Option<Duration>,
    /// Time within which something must arrive after a ping.
    pub ping_timeout: Option<Duration>,
    /// Bytes of a message, inflated.
    pub max_size: usize,
    /// Bytes of messages that wait to be read by the application.
    pub queue_size: usize,
    /// Whether messages may be compressed.
    pub deflate: bool,
    /// Longest time without a message in either direction.
    pub idle_timeout: Option<Duration>,
    /// Time that the peer has to answer a Close.
    pub close_timeout: Duration,
}

impl WebSocketLimits {
    /// Bytes that all messages of a worker together are inflated to, while they are received or wait to be read.
    pub(crate) fn max_inflated(&self) -> usize {
        self.max_size.saturating_mul(8).max(128 * 1024 * 1024)
    }

    /// The same for the WebSocket connections on the streams of one connection.
    pub(crate) fn max_inflated_by_one(&self) -> usize {
        self.max_inflated() / 4
    }

    /// The bounds of the websocket engine.
    pub(crate) fn engine(&self) -> ws::Options {
        ws::Options {
            max_message_size: self.max_size,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            idle_timeout: self.idle_timeout,
            close_timeout: self.close_timeout,
        }
    }
}
