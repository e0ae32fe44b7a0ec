//! `Options`: `granian.config.WorkerOptions`, read once when a worker is made. A group of options is a struct with the
//! group's name and fields on both sides; times are `timedelta` there and `Duration` here.

mod http;
mod limits;
mod metrics;
mod proxies;
mod static_files;
mod tls;
mod websocket;

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::http::{Http1, Http2, HttpVersions};
use self::limits::LimitOptions;
pub(crate) use self::limits::WatchOptions;
pub(crate) use self::metrics::{MetricsOptions, metrics_layout};
use self::proxies::Proxies;
use self::static_files::StaticFiles;
pub(crate) use self::static_files::{check_pattern, sendfile_mounts};
pub(crate) use self::tls::{Tls, configuration_error};
use self::websocket::WebSocket;
use crate::app::access_log::AccessLogOptions;
use granian_net::exchange::spool::Spools;
use granian_net::limits::{Http1Limits, Limits, Mechanisms};

/// The attributes of `granian.config.WorkerOptions` that the core uses.
#[derive(FromPyObject)]
pub(crate) struct Options {
    /// The protocol between server and application.
    pub(crate) interface: Interface,
    /// The application's lifespan state, if it has one.
    pub(crate) state: Option<Py<PyDict>>,
    /// Threads that call a WSGI application; 1: it is called on the event loop's thread.
    pub(crate) blocking_threads: usize,
    /// A thread without work ends after this time.
    pub(crate) blocking_threads_idle_timeout: Duration,
    /// Threads of connections; 0: they live on the event loop's thread.
    pub(crate) io_threads: usize,
    /// Calls of the application at once.
    pub(crate) backpressure: usize,
    /// Bytes of a request's body that waits in a file for the call of a WSGI application.
    wsgi_spool_limit: u64,
    /// Bytes of all such files together.
    wsgi_spool_total: u64,
    /// The path that the application is mounted on, without a slash behind.
    pub(crate) url_path_prefix: String,
    /// The service has several workers.
    pub(crate) multiprocess: bool,
    /// Of the access log, if there is one.
    pub(crate) access_log: Option<AccessLogOptions>,
    /// The field that requests' names come in and go out by, in lower case; without one they get none.
    pub(crate) request_id_header: Option<String>,
    /// Called with each exception of the application.
    pub(crate) on_exception: Py<PyAny>,
    http: HttpVersions,
    http1: Http1,
    http2: Http2,
    limits: LimitOptions,
    websocket: WebSocket,
    /// Proxies in front that are believed.
    pub(crate) proxies: Option<Proxies>,
    /// Folders that are served beside the application.
    pub(crate) static_files: Option<StaticFiles>,
    /// Prefixes of `x-accel-redirect` and the folders that responses may name files in.
    pub(crate) sendfile_map: Vec<(String, std::path::PathBuf)>,
    /// Responses are compressed for clients that take it.
    pub(crate) compress: bool,
    /// The path on which the worker says whether it is ready.
    pub(crate) health_path: Option<String>,
    /// The page that the worker's numbers go to, if somebody reads it.
    pub(crate) metrics: Option<MetricsOptions>,
    /// Connections are secured with it.
    pub(crate) tls: Option<Tls>,
}

/// The protocol between server and application.
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
            other => Err(PyValueError::new_err(format!(
                "interface: {other:?} is none of asgi, rsgi, wsgi"
            ))),
        }
    }
}

impl Options {
    /// The ends of requests that the application's calls are told of.
    pub(crate) fn watch(&self) -> WatchOptions {
        self.limits.watch()
    }

    /// The bounds of temporary files of WSGI.
    pub(crate) fn spools(&self) -> Spools {
        Spools::new(self.wsgi_spool_limit, self.wsgi_spool_total)
    }

    /// The bounds that connections work within.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            http: self.http.0,
            http1: Http1Limits {
                keep_alive: self.http1.keep_alive && self.limits.keeps_connections(),
                ..self.http1.limits()
            },
            http2: self.http2.limits(),
            websocket: self.websocket.limits(),
            timeouts: self.limits.timeouts(self.http1.header_read_timeout),
            request: self.limits.request(),
            connections: self.limits.connections(),
            backpressure: self.backpressure,
            wsgi_spool_limit: self.wsgi_spool_limit,
            line: self.limits.line(),
            has_gil: cfg!(not(Py_GIL_DISABLED)),
            mechanisms: Mechanisms::default(),
            window: WINDOW,
            most_body_window: WINDOW,
        }
    }
}

/// Bytes that an exchange holds in each direction before it pushes back.
const WINDOW: usize = 64 * 1024;
