//! The environ of a request (PEP 3333, "environ Variables"; RFC 3875, 4.1).

use std::sync::Arc;

use granian_proto::{RequestHead, Version};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::input::Input;
use super::start_response::FileWrapper;
use crate::app::call::Call;
use crate::app::fields::{environ_key, latin1, method};
use crate::app::target::strip_prefix;
use crate::app::{fields, target, tls};
use crate::options::Options;
use granian_net::exchange::app::{Address, Peer};

/// Makes environs; holds what is the same in all of them.
pub(crate) struct EnvironTemplate {
    template: Py<PyDict>,
    prefix: String,
}

impl EnvironTemplate {
    pub(crate) fn new(py: Python<'_>, options: &Options) -> PyResult<Self> {
        let template = PyDict::new(py);
        let prefix = options.url_path_prefix.trim_end_matches('/').to_owned();
        template.set_item("GATEWAY_INTERFACE", "CGI/1.1")?;
        template.set_item("SERVER_SOFTWARE", "Granian")?;
        template.set_item("REQUEST_METHOD", "GET")?;
        template.set_item("SCRIPT_NAME", &prefix)?;
        template.set_item("QUERY_STRING", "")?;
        template.set_item("SERVER_PROTOCOL", "HTTP/1.1")?;
        template.set_item("wsgi.version", (1, 0))?;
        template.set_item("wsgi.url_scheme", "http")?;
        template.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
        template.set_item("wsgi.multithread", super::has_pool(options))?;
        template.set_item("wsgi.multiprocess", options.multiprocess)?;
        template.set_item("wsgi.run_once", false)?;
        template.set_item("wsgi.input_terminated", true)?;
        template.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
        for key in SET_LATER {
            template.set_item(key, "")?;
        }
        fields::reserve(&template, 4)?;
        Ok(Self {
            template: template.unbind(),
            prefix,
        })
    }

    /// The environ of `call`'s request; `None` if its path is outside the prefix.
    pub(crate) fn make<'py>(
        &self,
        py: Python<'py>,
        call: &Arc<Call>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let origin = call.exchange.origin();
        let (head, peer) = (&*origin.head, &origin.peer);
        let decoded = target::decode(head.path());
        let forwarded = origin.prefix.as_deref();
        let Some(path) = self.strip(&decoded, forwarded) else {
            return Ok(None);
        };
        let environ = self.template.bind(py).copy()?;
        if let Some(forwarded) = forwarded {
            let name = format!("{forwarded}{}", self.prefix);
            environ.set_item(intern!(py, "SCRIPT_NAME"), name)?;
        }
        if head.method() != "GET" {
            environ.set_item(intern!(py, "REQUEST_METHOD"), method(py, head.method()))?;
        }
        environ.set_item(intern!(py, "PATH_INFO"), latin1(py, path))?;
        environ.set_item(intern!(py, "RAW_URI"), latin1(py, head.target()))?;
        if !head.query().is_empty() {
            environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, head.query()))?;
        }
        match head.version() {
            Version::Http11 => {}
            Version::Http10 => {
                environ.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/1.0"))?;
            }
            Version::Http2 => {
                environ.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/2"))?;
            }
        }
        if peer.scheme != "http" {
            environ.set_item(intern!(py, "wsgi.url_scheme"), peer.scheme)?;
            environ.set_item(intern!(py, "HTTPS"), intern!(py, "on"))?;
        }
        if let Some(info) = &peer.tls {
            tls::set_environ(&environ, info)?;
        }
        self.set_addresses(&environ, peer)?;
        set_fields(&environ, head)?;
        // A length that the peer has not declared is known once the body is here. Frameworks take a
        // body without it for an empty one.
        if head.field(b"content-length").is_none()
            && let Some(length) = call.exchange.whole_body()
        {
            environ.set_item(intern!(py, "CONTENT_LENGTH"), length.to_string())?;
        }
        let input = Bound::new(py, Input::new(Arc::clone(call)))?;
        environ.set_item(intern!(py, "wsgi.input"), input)?;
        Ok(Some(environ))
    }

    /// `path` without the prefix, and without the one that a proxy has taken away, if it has left that there.
    fn strip<'a>(&self, path: &'a [u8], forwarded: Option<&str>) -> Option<&'a [u8]> {
        let prefix = self.prefix.as_bytes();
        let inner = forwarded.and_then(|forwarded| strip_prefix(path, forwarded.as_bytes()));
        inner
            .and_then(|inner| strip_prefix(inner, prefix))
            .or_else(|| strip_prefix(path, prefix))
    }

    fn set_addresses(&self, environ: &Bound<'_, PyDict>, peer: &Peer) -> PyResult<()> {
        let py = environ.py();
        if let Some(ends) = peer.memo.get().and_then(|memo| memo.downcast_ref::<Ends>()) {
            return ends.set(environ);
        }
        let ends = Ends::new(py, peer);
        ends.set(environ)?;
        // Nothing else is kept there, so the cell is empty.
        let _ = peer.memo.set(Box::new(ends));
        Ok(())
    }
}

/// The two ends of a connection, as text made once for all its requests.
struct Ends {
    server_name: Py<PyString>,
    server_port: Py<PyString>,
    remote_addr: Py<PyString>,
    remote_port: Option<Py<PyString>>,
}

impl Ends {
    fn new(py: Python<'_>, peer: &Peer) -> Self {
        let text = |text: String| PyString::new(py, &text).unbind();
        let (server_name, server_port) = match &peer.local {
            Address::Ip(addr) => (addr.ip().to_string(), addr.port().to_string()),
            Address::Unix(path) => {
                // "SERVER_NAME and SERVER_PORT can never be empty strings": an abstract socket has
                // no path.
                let path = path
                    .as_ref()
                    .map_or("localhost".into(), |path| path.to_string_lossy());
                (path.into_owned(), "0".to_owned())
            }
        };
        let (remote_addr, remote_port) = match &peer.remote {
            Address::Ip(addr) => (addr.ip().to_string(), Some(addr.port().to_string())),
            Address::Unix(_) => (String::new(), None),
        };
        Self {
            server_name: text(server_name),
            server_port: text(server_port),
            remote_addr: text(remote_addr),
            remote_port: remote_port.map(text),
        }
    }

    fn set(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = environ.py();
        environ.set_item(intern!(py, "SERVER_NAME"), &self.server_name)?;
        environ.set_item(intern!(py, "SERVER_PORT"), &self.server_port)?;
        environ.set_item(intern!(py, "REMOTE_ADDR"), &self.remote_addr)?;
        if let Some(port) = &self.remote_port {
            environ.set_item(intern!(py, "REMOTE_PORT"), port)?;
        }
        Ok(())
    }
}

fn set_fields(environ: &Bound<'_, PyDict>, head: &RequestHead) -> PyResult<()> {
    let py = environ.py();
    for (name, value) in head.fields() {
        match name {
            b"content-length" => {
                environ.set_item(intern!(py, "CONTENT_LENGTH"), latin1(py, value))?;
            }
            b"content-type" => {
                environ.set_item(intern!(py, "CONTENT_TYPE"), latin1(py, value))?;
            }
            // Would pose as the outgoing proxy of the application's HTTP client (httpoxy).
            b"proxy" => {}
            // `X_Forwarded_For` and `X-Forwarded-For` would be the same key: the former is dropped
            // so that it can't pose as the latter.
            name if memchr::memchr(b'_', name).is_some() => {}
            name => set_field(environ, name, value)?,
        }
    }
    if let Some(authority) = head.authority()
        && head.field(b"host").is_none()
    {
        environ.set_item(intern!(py, "HTTP_HOST"), authority)?;
    }
    Ok(())
}

/// Sets one field; several of one name are joined (RFC 9110, 5.3; cookies: RFC 6265, 4.2.1).
fn set_field(environ: &Bound<'_, PyDict>, name: &[u8], value: &[u8]) -> PyResult<()> {
    let py = environ.py();
    let key = environ_key(py, name);
    let value = latin1(py, value);
    let Some(before) = environ.get_item(&key)? else {
        return environ.set_item(key, value);
    };
    let separator = if name == b"cookie" { "; " } else { "," };
    environ.set_item(key, before.add(separator)?.add(value)?)
}

/// Keys of every environ whose values differ.
const SET_LATER: [&str; 6] = [
    "PATH_INFO",
    "RAW_URI",
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "wsgi.input",
];
