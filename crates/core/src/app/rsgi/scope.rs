//! `scope`: the request of an RSGI application, without its body.

use std::sync::{Arc, Mutex};

use granian_proto::{RequestHead, Version};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::headers::Headers;
use crate::app::fields::{latin1, method};
use crate::app::{target, tls};
use granian_net::exchange::app::{Address, Peer, Request};
use granian_net::runtime::waker::lock;

/// Attributes, read-only but for `route`. Each becomes a Python object when it is read.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "RSGIHTTPScope"
)]
pub(crate) struct Scope {
    head: Arc<RequestHead>,
    peer: Arc<Peer>,
    is_websocket: bool,
    root_path: String,
    route: Mutex<Option<Py<PyString>>>,
}

impl Scope {
    pub(crate) fn new(request: &Request, root_path: &str) -> Self {
        let origin = request.exchange.origin();
        Self {
            head: Arc::clone(&origin.head),
            peer: Arc::clone(&origin.peer),
            is_websocket: request.websocket.is_some(),
            root_path: match &origin.prefix {
                None => root_path.to_owned(),
                Some(prefix) => format!("{prefix}{root_path}"),
            },
            route: Mutex::default(),
        }
    }
}

#[pymethods]
impl Scope {
    #[getter]
    fn proto<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.is_websocket {
            false => intern!(py, "http").clone(),
            true => intern!(py, "ws").clone(),
        }
    }

    #[getter]
    fn rsgi_version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        intern!(py, "1.6").clone()
    }

    #[getter]
    fn http_version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.head.version() {
            Version::Http10 => intern!(py, "1").clone(),
            Version::Http11 => intern!(py, "1.1").clone(),
            Version::Http2 => intern!(py, "2").clone(),
        }
    }

    #[getter]
    fn server(&self) -> String {
        address(&self.peer.local)
    }

    #[getter]
    fn client(&self) -> String {
        address(&self.peer.remote)
    }

    #[getter]
    fn scheme<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.peer.scheme {
            "https" => intern!(py, "https").clone(),
            _ => intern!(py, "http").clone(),
        }
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        method(py, self.head.method())
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, &target::decode_lossy(self.head.path()))
    }

    /// The path that the application is mounted on, as the client sees it.
    #[getter]
    fn root_path(&self) -> &str {
        &self.root_path
    }

    #[getter]
    fn query_string<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.head.query())
    }

    #[getter]
    fn authority<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.head
            .authority()
            .map(|authority| PyString::new(py, authority))
    }

    /// The dictionary of ASGI's `tls` extension; `None` without TLS.
    #[getter]
    fn tls<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let info = self.peer.tls.as_ref();
        info.map(|info| tls::extension(py, info)).transpose()
    }

    /// The name of the request's route that the application has set, for the metrics.
    #[getter]
    fn route(&self, py: Python<'_>) -> Option<Py<PyString>> {
        let route = lock(&self.route);
        route.as_ref().map(|route| route.clone_ref(py))
    }

    #[setter]
    fn set_route(&self, route: Option<Py<PyString>>) {
        let former = std::mem::replace(&mut *lock(&self.route), route);
        drop(former);
    }

    #[getter]
    fn headers(&self) -> Headers {
        Headers::new(Arc::clone(&self.head))
    }
}

/// `ip:port`; the path of a Unix socket, empty if it has no name.
fn address(address: &Address) -> String {
    match address {
        Address::Ip(addr) => addr.to_string(),
        Address::Unix(Some(path)) => path.to_string_lossy().into_owned(),
        Address::Unix(None) => String::new(),
    }
}
