//! `Options`: `granian.config.WorkerOptions`, read once when a worker is made.

use std::path::PathBuf;
use std::time::Duration;

use granian_proto::{h1, ws};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use granian_net::limits::{Http2Limits, Limits, Mechanisms, Versions, WebSocketLimits};
use granian_net::tls::config::{Identity, TlsConfig, TlsError, TlsOptions, TlsVersions};

/// The attributes of `granian.config.WorkerOptions` that the core uses.
#[derive(FromPyObject)]
pub(crate) struct Options {
    pub(crate) interface: Interface,
    pub(crate) state: Option<Py<PyDict>>,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_threads_idle_timeout: u64,
    pub(crate) backpressure: usize,
    pub(crate) root_path: String,
    pub(crate) http: Http,
    pub(crate) http1_header_read_timeout: u64,
    pub(crate) http1_keep_alive: bool,
    pub(crate) http1_max_buffer_size: usize,
    pub(crate) http2_adaptive_window: bool,
    pub(crate) http2_initial_connection_window_size: u32,
    pub(crate) http2_initial_stream_window_size: u32,
    pub(crate) http2_keep_alive_interval: Option<u64>,
    pub(crate) http2_keep_alive_timeout: u64,
    pub(crate) http2_max_concurrent_streams: u32,
    pub(crate) http2_max_frame_size: u32,
    pub(crate) http2_max_headers_size: u32,
    pub(crate) http2_max_send_buffer_size: usize,
    pub(crate) ssl: Option<Tls>,
    pub(crate) multiprocess: bool,
    pub(crate) access_log: Option<Py<PyAny>>,
    pub(crate) on_exception: Py<PyAny>,
    pub(crate) websockets: bool,
    pub(crate) ws_ping_interval: f64,
    pub(crate) ws_ping_timeout: f64,
    pub(crate) ws_max_size: usize,
    pub(crate) ws_queue_size: usize,
    pub(crate) ws_deflate: bool,
    pub(crate) ws_idle_timeout: f64,
    pub(crate) ws_close_timeout: f64,
}

/// Which protocol the application speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interface {
    Asgi,
    Rsgi,
    Wsgi,
}

impl<'py> FromPyObject<'_, 'py> for Interface {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<String>()?.as_str() {
            "asgi" => Ok(Self::Asgi),
            "rsgi" => Ok(Self::Rsgi),
            "wsgi" => Ok(Self::Wsgi),
            other => Err(pyo3::exceptions::PyValueError::new_err(format!(
                "interface: {other:?} is none of asgi, rsgi, wsgi"
            ))),
        }
    }
}

/// `granian.config.TlsOptions`.
#[derive(FromPyObject)]
pub(crate) struct Tls {
    certificates: Vec<(PathBuf, PathBuf, Option<String>)>,
    protocol_min: String,
    protocol_max: String,
    ciphers: Vec<String>,
    ca: Option<PathBuf>,
    crl: Vec<PathBuf>,
    client_verify: bool,
    ticket_seed: Option<Vec<u8>>,
    alpn: Vec<String>,
    handshake_timeout: f64,
}

impl Tls {
    /// Reads and checks what the options name.
    ///
    /// # Errors
    /// `granian.errors.ConfigurationError` for the first option that is wrong.
    pub(crate) fn load(self, py: Python<'_>) -> PyResult<TlsConfig> {
        let options = TlsOptions {
            versions: self.versions()?,
            identities: self
                .certificates
                .into_iter()
                .map(|(certificate, key, key_password)| Identity {
                    certificate,
                    key,
                    key_password,
                })
                .collect(),
            ciphers: self.ciphers,
            ca: self.ca,
            crl: self.crl,
            client_verify: self.client_verify,
            ticket_seed: self.ticket_seed,
            alpn: self.alpn.into_iter().map(String::into_bytes).collect(),
            // No wait for ever on who may never say a word.
            handshake_timeout: seconds(self.handshake_timeout).unwrap_or(HANDSHAKE_TIMEOUT),
        };
        py.detach(|| TlsConfig::load(&options))
            .map_err(|error| configuration_error(py, &error))
    }

    fn versions(&self) -> PyResult<TlsVersions> {
        match (&*self.protocol_min, &*self.protocol_max) {
            ("tls1.2", "tls1.2") => Ok(TlsVersions::Only12),
            ("tls1.2", "tls1.3") => Ok(TlsVersions::Both),
            ("tls1.3", "tls1.3") => Ok(TlsVersions::Only13),
            (min, max) => Err(pyo3::exceptions::PyValueError::new_err(format!(
                "ssl_protocol_min {min:?} and ssl_protocol_max {max:?} leave no version"
            ))),
        }
    }
}

/// Which versions of HTTP peers may speak.
pub(crate) struct Http(Versions);

impl<'py> FromPyObject<'_, 'py> for Http {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<String>()?.as_str() {
            "auto" => Ok(Self(Versions::All)),
            "1" => Ok(Self(Versions::Http1)),
            "2" => Ok(Self(Versions::Http2)),
            other => Err(pyo3::exceptions::PyValueError::new_err(format!(
                "http: {other:?} is none of auto, 1, 2"
            ))),
        }
    }
}

impl Options {
    fn websocket_limits(&self) -> WebSocketLimits {
        WebSocketLimits {
            enabled: self.websockets,
            deflate: self.ws_deflate,
            queue: self.ws_queue_size,
            engine: ws::Options {
                max_message_size: self.ws_max_size,
                ping_interval: seconds(self.ws_ping_interval),
                ping_timeout: seconds(self.ws_ping_timeout),
                idle_timeout: seconds(self.ws_idle_timeout),
                close_timeout: seconds(self.ws_close_timeout).unwrap_or_default(),
            },
        }
    }

    /// The bounds that connections work within.
    pub(crate) fn limits(&self) -> Limits {
        let header_timeout = Duration::from_millis(self.http1_header_read_timeout);
        Limits {
            http1: h1::Options {
                max_head_size: self.http1_max_buffer_size,
                max_target_size: MAX_TARGET_SIZE,
                max_fields: MAX_FIELDS,
                max_body_size: None,
                header_timeout,
                keep_alive_timeout: header_timeout,
                body_timeout: Some(BODY_TIMEOUT),
                keep_alive: self.http1_keep_alive,
            },
            http2: self.http2(),
            versions: self.http.0,
            websocket: self.websocket_limits(),
            active: self.backpressure,
            has_gil: cfg!(not(Py_GIL_DISABLED)),
            mechanisms: Mechanisms::default(),
            window: WINDOW,
            write_timeout: WRITE_TIMEOUT,
        }
    }

    /// Within the ranges of RFC 9113, 6.5.2: outside of them the codec panics.
    fn http2(&self) -> Http2Limits {
        Http2Limits {
            adaptive_window: self.http2_adaptive_window,
            connection_window: self.http2_initial_connection_window_size.min(MAX_WINDOW),
            stream_window: self.http2_initial_stream_window_size.min(MAX_WINDOW),
            keep_alive_interval: self.http2_keep_alive_interval.map(Duration::from_millis),
            keep_alive_timeout: Duration::from_secs(self.http2_keep_alive_timeout).min(LONGEST),
            max_concurrent_streams: self.http2_max_concurrent_streams,
            max_frame_size: self.http2_max_frame_size.clamp(16_384, (1 << 24) - 1),
            max_header_list_size: self.http2_max_headers_size,
            max_send_buffer_size: self.http2_max_send_buffer_size.min(u32::MAX as usize),
            header_timeout: Duration::from_millis(self.http1_header_read_timeout),
        }
    }
}

/// The exception for an option that is wrong.
pub(crate) fn configuration_error(py: Python<'_>, error: &TlsError) -> PyErr {
    let made = py
        .import("granian.errors")
        .and_then(|module| module.getattr("ConfigurationError"))
        .and_then(|class| class.call1((error.option, error.to_string())));
    made.map_or_else(|failure| failure, PyErr::from_value)
}

/// Nothing for what is no length of time, such as 0.
fn seconds(seconds: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()?;
    (!time.is_zero()).then_some(time)
}

/// A century. Points in time that are later than the clock can tell would make additions panic.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_WINDOW: u32 = (1 << 31) - 1;
const MAX_TARGET_SIZE: usize = 65_534;
const MAX_FIELDS: usize = 256;
/// Between two pieces of a body that the application waits for.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// For a peer that takes nothing of what waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that an exchange holds in each direction before it pushes back.
const WINDOW: usize = 64 * 1024;
