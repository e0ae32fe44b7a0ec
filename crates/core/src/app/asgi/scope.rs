//! The connection scope of a request
//! (<https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope>).

use std::cell::RefCell;

use granian_proto::Version;
use granian_proto::ws::Handshake;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::own_dict::{Depth, OwnDict};
use crate::app::{fields, target, tls};
use crate::options::Options;
use granian_net::exchange::app::{Address, Peer, Request};

/// Makes scopes; holds what is the same in all of them.
pub(crate) struct ScopeTemplate {
    /// A scope with everything that does not depend on the request, copied for each.
    http: Py<PyDict>,
    /// The same for WebSocket connections, which keep theirs for long: smaller.
    websocket: Py<PyDict>,
    version: OwnDict,
    /// The path that the application is mounted on.
    root_path: String,
    /// An empty dict under the name of each extension.
    extensions: OwnDict,
    /// The same without those that send files.
    fileless_extensions: OwnDict,
    /// The lifespan's. Each scope has a copy, which ends with it: applications keep in it what has to end with a request.
    state: Option<Py<PyDict>>,
    /// The `server` of the connection seen last; there are as many as there are listeners.
    server: RefCell<Option<(Address, Py<PyAny>)>>,
}

impl ScopeTemplate {
    pub(crate) fn new(py: Python<'_>, options: &Options) -> PyResult<Self> {
        let template = PyDict::new(py);
        // The order is that of the specification; values are replaced in place.
        for key in [
            "type",
            "asgi",
            "http_version",
            "method",
            "scheme",
            "path",
            "raw_path",
        ] {
            template.set_item(key, py.None())?;
        }
        template.set_item("type", "http")?;
        template.set_item("http_version", "1.1")?;
        template.set_item("scheme", "http")?;
        template.set_item("query_string", PyBytes::new(py, b""))?;
        template.set_item("root_path", &options.url_path_prefix)?;
        for key in ["headers", "client", "server", "state", "extensions"] {
            template.set_item(key, py.None())?;
        }
        let websocket = template.copy()?;
        websocket.del_item("method")?;
        websocket.set_item("type", "websocket")?;
        // Frameworks put about ten things of theirs into a scope.
        fields::reserve(&template, 8)?;
        let version = PyDict::new(py);
        version.set_item("version", "3.0")?;
        version.set_item("spec_version", "2.3")?;
        let extensions = named(py, &EXTENSIONS)?;
        let fileless = named(py, &EXTENSIONS[FILES..])?;
        Ok(Self {
            http: template.unbind(),
            websocket: websocket.unbind(),
            version: OwnDict::new(version, Depth::Shallow),
            root_path: options.url_path_prefix.clone(),
            extensions: OwnDict::new(extensions, Depth::EmptyDicts),
            fileless_extensions: OwnDict::new(fileless, Depth::EmptyDicts),
            state: options.state.as_ref().map(|state| state.clone_ref(py)),
            server: RefCell::new(None),
        })
    }

    /// The scope of a `request` of HTTP; every mutable object in it is its own. With
    /// `announces_files` it offers to send files by their path.
    pub(crate) fn http<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        announces_files: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = self.http.bind(py).copy()?;
        self.set_common(&scope, request)?;
        scope.set_item(
            intern!(py, "method"),
            fields::method(py, request.head().method()),
        )?;
        if request.peer().scheme != "http" {
            scope.set_item(intern!(py, "scheme"), request.peer().scheme)?;
        }
        let extensions = match announces_files {
            true => self.extensions.get(py)?,
            false => self.fileless_extensions.get(py)?,
        };
        if request.accepts_push {
            extensions.set_item(intern!(py, "http.response.push"), PyDict::new(py))?;
        }
        tls::announce(&extensions, request.peer())?;
        scope.set_item(intern!(py, "extensions"), extensions)?;
        Ok(scope)
    }

    /// The scope of a `request` for a WebSocket connection
    /// (<https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope>).
    pub(crate) fn websocket<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        handshake: &Handshake,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = self.websocket.bind(py).copy()?;
        self.set_common(&scope, request)?;
        let scheme = match request.peer().scheme {
            "https" => intern!(py, "wss"),
            _ => intern!(py, "ws"),
        };
        scope.set_item(intern!(py, "scheme"), scheme)?;
        let protocols = PyList::new(py, handshake.protocols())?;
        scope.set_item(intern!(py, "subprotocols"), protocols)?;
        let extensions = PyDict::new(py);
        extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
        tls::announce(&extensions, request.peer())?;
        scope.set_item(intern!(py, "extensions"), extensions)?;
        Ok(scope)
    }

    /// Sets what the scopes of both kinds of connection have in common.
    fn set_common(&self, scope: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
        let py = scope.py();
        let head = request.head();
        scope.set_item(intern!(py, "asgi"), self.version.get(py)?)?;
        match head.version() {
            Version::Http11 => {}
            Version::Http10 => scope.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?,
            Version::Http2 => scope.set_item(intern!(py, "http_version"), intern!(py, "2"))?,
        }
        match request.prefix() {
            None => set_path(scope, head.path())?,
            Some(prefix) => {
                set_path(scope, &target::with_prefix(head.path(), prefix))?;
                let root_path = format!("{prefix}{}", self.root_path);
                scope.set_item(intern!(py, "root_path"), root_path)?;
            }
        }
        if !head.query().is_empty() {
            scope.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query()))?;
        }
        scope.set_item(intern!(py, "headers"), headers(py, request)?)?;
        scope.set_item(intern!(py, "client"), client(py, request.peer())?)?;
        scope.set_item(intern!(py, "server"), self.server(py, request.peer())?)?;
        let state = match &self.state {
            Some(state) => state.bind(py).copy()?,
            None => PyDict::new(py),
        };
        if let Some(id) = request.exchange.request_id() {
            state.set_item(intern!(py, "request_id"), id)?;
        }
        scope.set_item(intern!(py, "state"), state)
    }

    fn server<'py>(&self, py: Python<'py>, peer: &Peer) -> PyResult<Bound<'py, PyAny>> {
        if let Some((address, server)) = &*self.server.borrow()
            && *address == peer.local
        {
            return Ok(server.bind(py).clone());
        }
        let server = address(py, &peer.local)?;
        *self.server.borrow_mut() = Some((peer.local.clone(), server.clone().unbind()));
        Ok(server)
    }
}

/// A `scope` of HTTP as it was before the application had it, but without the offer to send files
/// by their path. Frameworks that mount applications have changed both of its paths.
pub(super) fn renewed<'py>(
    scope: &Bound<'py, PyDict>,
    root_path: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let py = scope.py();
    let renewed = PyDict::new(py);
    for key in KEYS {
        if let Some(value) = scope.get_item(key)? {
            renewed.set_item(key, value)?;
        }
    }
    if let Some(raw_path) = scope.get_item("raw_path")? {
        let raw_path = raw_path.cast_into::<PyBytes>()?;
        renewed.set_item("path", &*target::decode_lossy(raw_path.as_bytes()))?;
    }
    renewed.set_item("root_path", root_path)?;
    if let Some(extensions) = scope.get_item("extensions")? {
        let extensions = extensions.cast_into::<PyDict>()?.copy()?;
        for name in &EXTENSIONS[..FILES] {
            if extensions.contains(name)? {
                extensions.del_item(name)?;
            }
        }
        renewed.set_item("extensions", extensions)?;
    }
    Ok(renewed)
}

/// An empty dict under each of `names`.
fn named<'py>(py: Python<'py>, names: &[&str]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for name in names {
        dict.set_item(PyString::intern(py, name), PyDict::new(py))?;
    }
    Ok(dict)
}

fn set_path(scope: &Bound<'_, PyDict>, raw_path: &[u8]) -> PyResult<()> {
    let py = scope.py();
    scope.set_item(intern!(py, "path"), &*target::decode_lossy(raw_path))?;
    scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, raw_path))
}

/// `(host, port)`, `(path, None)` for a Unix socket, `None` for one without a name.
fn address<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    match address {
        Address::Ip(addr) => {
            let pair = (addr.ip().to_string(), addr.port());
            Ok(pair.into_pyobject(py)?.into_any())
        }
        Address::Unix(Some(path)) => {
            let pair = (path.to_string_lossy(), py.None());
            Ok(pair.into_pyobject(py)?.into_any())
        }
        Address::Unix(None) => Ok(py.None().into_bound(py)),
    }
}

/// The connection's `client`, made once for all its requests.
fn client<'py>(py: Python<'py>, peer: &Peer) -> PyResult<Bound<'py, PyAny>> {
    if let Some(client) = peer
        .memo
        .get()
        .and_then(|memo| memo.downcast_ref::<Py<PyAny>>())
    {
        return Ok(client.bind(py).clone());
    }
    let client = address(py, &peer.remote)?;
    // Nothing else is kept there, so the cell is empty.
    let _ = peer.memo.set(Box::new(client.clone().unbind()));
    Ok(client)
}

/// The header fields in the order they came. A request that names its host in the target only
/// gets it as a field (RFC 9112, 3.2.2).
fn headers<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyList>> {
    let head = request.head();
    let list = if request.websocket.is_some() {
        let pairs: Vec<Bound<'py, PyTuple>> = head
            .fields()
            .map(
                |(name, value)| match fields::handshake_pair(py, name, value) {
                    Some(pair) => Ok(pair),
                    None => pair(py, name, value).into_pyobject(py),
                },
            )
            .collect::<PyResult<_>>()?;
        PyList::new(py, pairs)?
    } else {
        PyList::new(py, head.fields().map(|(name, value)| pair(py, name, value)))?
    };
    if let Some(authority) = head.authority()
        && head.field(b"host").is_none()
    {
        list.insert(
            0,
            (
                fields::name_bytes(py, b"host"),
                PyBytes::new(py, authority.as_bytes()),
            ),
        )?;
    }
    Ok(list)
}

fn pair<'py>(
    py: Python<'py>,
    name: &[u8],
    value: &[u8],
) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
    (fields::name_bytes(py, name), PyBytes::new(py, value))
}

/// The keys of a scope of HTTP, by the specification.
const KEYS: [&str; 14] = [
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
    "state",
    "extensions",
];
/// Each is an empty dict of its own in every scope. The first `FILES` of them offer to send files by their path or
/// descriptor.
const EXTENSIONS: [&str; 4] = [
    "http.response.pathsend",
    "http.response.zerocopysend",
    "http.response.trailers",
    "http.response.early_hint",
];
const FILES: usize = 2;
