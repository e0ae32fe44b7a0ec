//! The group of websockets: `granian.config.websocket`.

use std::time::Duration;

use pyo3::prelude::*;

use granian_net::limits::WebSocketLimits;

/// `granian.config.websocket.WebSocketOptions`; sizes in bytes, `None` for no limit.
#[derive(FromPyObject)]
pub(super) struct WebSocket {
    enabled: bool,
    ping_interval: Option<Duration>,
    ping_timeout: Option<Duration>,
    max_size: usize,
    queue_size: usize,
    deflate: bool,
    idle_timeout: Option<Duration>,
    close_timeout: Duration,
}

impl WebSocket {
    pub(super) fn limits(&self) -> WebSocketLimits {
        WebSocketLimits {
            enabled: self.enabled,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            max_size: self.max_size,
            queue_size: self.queue_size,
            deflate: self.deflate,
            idle_timeout: self.idle_timeout,
            close_timeout: self.close_timeout,
        }
    }
}
