//! The groups of HTTP: `granian.config.http`.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use granian_net::limits::{Http1Limits, Http2Limits, Versions};

/// The versions of HTTP that peers may speak.
pub(super) struct HttpVersions(pub(super) Versions);

impl<'py> FromPyObject<'_, 'py> for HttpVersions {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<String>()?.as_str() {
            "auto" => Ok(Self(Versions::All)),
            "1" => Ok(Self(Versions::Http1)),
            "2" => Ok(Self(Versions::Http2)),
            other => Err(PyValueError::new_err(format!(
                "http: {other:?} is none of auto, 1, 2"
            ))),
        }
    }
}

/// `granian.config.http.Http1Options`.
#[derive(FromPyObject)]
pub(super) struct Http1 {
    /// Time for a head to arrive.
    pub(super) header_read_timeout: Duration,
    pub(super) keep_alive: bool,
    /// Bytes.
    max_buffer_size: usize,
}

impl Http1 {
    pub(super) fn limits(&self) -> Http1Limits {
        Http1Limits {
            keep_alive: self.keep_alive,
            max_buffer_size: self.max_buffer_size,
        }
    }
}

/// `granian.config.http.Http2Options`; sizes in bytes.
#[derive(FromPyObject)]
pub(super) struct Http2 {
    adaptive_window: bool,
    initial_connection_window_size: u32,
    initial_stream_window_size: u32,
    keep_alive_interval: Option<Duration>,
    keep_alive_timeout: Duration,
    idle_timeout: Duration,
    max_concurrent_streams: u32,
    max_frame_size: u32,
    max_headers_size: u32,
    max_send_buffer_size: usize,
    upgrade: bool,
}

impl Http2 {
    /// Within the ranges of RFC 9113, 6.5.2: outside of them the codec panics.
    pub(super) fn limits(&self) -> Http2Limits {
        Http2Limits {
            adaptive_window: self.adaptive_window,
            initial_connection_window_size: self.initial_connection_window_size.min(MAX_WINDOW),
            initial_stream_window_size: self.initial_stream_window_size.min(MAX_WINDOW),
            keep_alive_interval: self.keep_alive_interval,
            keep_alive_timeout: self.keep_alive_timeout,
            idle_timeout: self.idle_timeout,
            max_concurrent_streams: self.max_concurrent_streams,
            max_frame_size: self.max_frame_size.clamp(MIN_FRAME, MAX_FRAME),
            max_headers_size: self.max_headers_size,
            max_send_buffer_size: self.max_send_buffer_size.min(u32::MAX as usize),
            upgrade: self.upgrade,
        }
    }
}

const MAX_WINDOW: u32 = (1 << 31) - 1;
const MIN_FRAME: u32 = 1 << 14;
const MAX_FRAME: u32 = (1 << 24) - 1;
