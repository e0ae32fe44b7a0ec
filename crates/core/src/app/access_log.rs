//! `AccessLog`: the Python function that writes a line about each answer, and what it is called
//! with.

use std::borrow::Cow;

use granian_proto::{RequestHead, Version};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::{fields, target};
use granian_net::exchange::app::Address;
use granian_net::exchange::record::Record;

/// See the module's documentation. The function is what `granian.log.log_request_builder` makes.
pub(crate) struct AccessLog {
    function: Py<PyAny>,
    /// The names of the request's fields that the function reads; `None`: it may read any.
    wanted: Option<Vec<String>>,
}

impl AccessLog {
    pub(crate) fn new(function: &Bound<'_, PyAny>) -> Self {
        let wanted = function.getattr_opt(intern!(function.py(), "wanted"));
        Self {
            function: function.clone().unbind(),
            wanted: wanted
                .ok()
                .flatten()
                .and_then(|wanted| wanted.extract().ok()),
        }
    }

    /// Calls the function.
    ///
    /// # Errors
    /// The exception of the Python function.
    pub(crate) fn write(&self, py: Python<'_>, record: &Record) -> PyResult<()> {
        let head = record.head.as_ref();
        let line = (
            client(py, &record.peer.remote),
            head.map_or_else(|| unknown(py), |head| fields::method(py, head.method())),
            head.map_or_else(
                || unknown(py),
                |head| text(py, target::decode_lossy(head.path())),
            ),
            head.map_or_else(
                || intern!(py, "").clone(),
                |head| text(py, String::from_utf8_lossy(head.query())),
            ),
            record.peer.scheme,
            protocol(py, record.version),
            record.status,
            record.duration.as_secs_f64(),
            record.sent,
            self.fields(py, head)?,
        );
        self.function.bind(py).call1(line)?;
        Ok(())
    }

    fn fields<'py>(
        &self,
        py: Python<'py>,
        head: Option<&RequestHead>,
    ) -> PyResult<Bound<'py, PyList>> {
        let pairs = PyList::empty(py);
        let (Some(head), false) = (head, self.wanted.as_ref().is_some_and(Vec::is_empty)) else {
            return Ok(pairs);
        };
        let is_wanted = |name: &[u8]| {
            let wanted = self.wanted.as_ref();
            wanted.is_none_or(|names| names.iter().any(|other| other.as_bytes() == name))
        };
        for (name, value) in head.fields().filter(|(name, _)| is_wanted(name)) {
            pairs.append((fields::name_bytes(py, name), PyBytes::new(py, value)))?;
        }
        Ok(pairs)
    }
}

/// The client's address; empty on a Unix socket.
fn client<'py>(py: Python<'py>, address: &Address) -> Bound<'py, PyString> {
    match address {
        Address::Ip(address) => PyString::new(py, &address.ip().to_string()),
        Address::Unix(_) => intern!(py, "").clone(),
    }
}

/// The text in place of the facts of a head that could not be read.
fn unknown(py: Python<'_>) -> Bound<'_, PyString> {
    intern!(py, "-").clone()
}

fn text<'py>(py: Python<'py>, text: Cow<'_, str>) -> Bound<'py, PyString> {
    PyString::new(py, &text)
}

fn protocol(py: Python<'_>, version: Version) -> Bound<'_, PyString> {
    match version {
        Version::Http10 => intern!(py, "HTTP/1.0"),
        Version::Http11 => intern!(py, "HTTP/1.1"),
        Version::Http2 => intern!(py, "HTTP/2"),
    }
    .clone()
}
