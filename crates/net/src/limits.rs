//! `Limits`: every bound that a worker is started with, in one place. Nothing here does anything.

use std::time::Duration;

use granian_proto::{h1, ws};

/// Bounds that a worker is started with.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The HTTP/1 engine's own.
    pub http1: h1::Options,
    /// HTTP/2's.
    pub http2: Http2Limits,
    /// Which versions are spoken.
    pub versions: Versions,
    /// Those of WebSocket connections.
    pub websocket: WebSocketLimits,
    /// Exchanges at once.
    pub active: usize,
    /// The application runs under a GIL: all its calls together use about one processor.
    pub has_gil: bool,
    /// What saves work, unless an operator turns it off.
    pub mechanisms: Mechanisms,
    /// Bytes that an exchange holds in each direction before it pushes back.
    pub window: usize,
    /// How long a peer may take nothing of what waits for it.
    pub write_timeout: Duration,
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

/// Bounds of WebSocket connections.
#[derive(Clone, Copy)]
pub struct WebSocketLimits {
    /// Whether peers may open any.
    pub enabled: bool,
    /// Whether messages may be compressed.
    pub deflate: bool,
    /// Bytes of messages that wait to be read by the application.
    pub queue: usize,
    /// The engine's own.
    pub engine: ws::Options,
}

/// Which versions of HTTP peers may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versions {
    /// HTTP/1.0, 1.1 and 2.
    All,
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// What a worker's HTTP/2 connections are opened with.
#[derive(Clone, Copy)]
pub struct Http2Limits {
    /// The windows follow what the path to the peer holds; the sizes below are the smallest.
    pub adaptive_window: bool,
    /// Bytes that the peer may send on all streams before the application has read them.
    pub connection_window: u32,
    /// The same for one stream.
    pub stream_window: u32,
    /// After so long without input the peer is asked whether it is there.
    pub keep_alive_interval: Option<Duration>,
    /// How long it has for the answer.
    pub keep_alive_timeout: Duration,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: u32,
    /// SETTINGS_MAX_FRAME_SIZE, bytes.
    pub max_frame_size: u32,
    /// Bytes of a decoded header section, counted as RFC 9113, 6.5.2 has it.
    pub max_header_list_size: u32,
    /// Bytes of one stream that the codec holds.
    pub max_send_buffer_size: usize,
    /// How long a connection may go without a first request, and a header section take.
    pub header_timeout: Duration,
}
