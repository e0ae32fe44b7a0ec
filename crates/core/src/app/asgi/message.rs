//! Messages that an ASGI application sends, parsed.

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, Trailers};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::app::payload::bytes_of;
use crate::app::{fields, file};
use granian_net::stream::region::FileRegion;

/// A valid message of an HTTP connection.
pub(crate) enum Message {
    /// `http.response.start`
    Start { head: ResponseHead, trailers: bool },
    /// `http.response.body`
    Body { data: Bytes, more: bool },
    /// `http.response.pathsend`
    PathSend(std::path::PathBuf),
    /// `http.response.zerocopysend`
    ZeroCopySend { region: FileRegion, more: bool },
    /// `http.response.trailers`
    Trailers { trailers: Trailers, more: bool },
    /// `http.response.early_hint`
    EarlyHint(ResponseHead),
    /// `http.response.push`
    Push(Promise),
    /// `http.response.debug`, which is for test clients.
    Debug,
}

/// Parses the argument of `send`.
///
/// # Errors
/// `TypeError` and `ValueError` for wrong types and values, `RuntimeError` for an unknown type.
pub(crate) fn parse(message: &Bound<'_, PyAny>) -> PyResult<Message> {
    let py = message.py();
    let message = message.cast::<PyDict>()?;
    let kind = message
        .get_item(intern!(py, "type"))?
        .ok_or_else(unsupported)?;
    match kind.cast::<PyString>()?.to_str()? {
        "http.response.body" => body(message),
        "http.response.start" => start(message),
        "http.response.pathsend" => {
            let path = message
                .get_item(intern!(py, "path"))?
                .ok_or_else(unsupported)?;
            Ok(Message::PathSend(path.extract()?))
        }
        "http.response.zerocopysend" => zero_copy(message),
        "http.response.trailers" => trailers(message),
        "http.response.early_hint" => early_hint(message),
        "http.response.push" => push(message),
        "http.response.debug" => Ok(Message::Debug),
        _ => Err(unsupported()),
    }
}

pub(super) fn start(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = message.py();
    let status = message
        .get_item(intern!(py, "status"))?
        .ok_or_else(unsupported)?;
    let mut head = ResponseHead::new(status.extract()?).map_err(fields::head_error)?;
    let trailers = is_true(message, intern!(py, "trailers"))?;
    for_each_header(message, |pair| fields::append_bytes(&mut head, pair))?;
    Ok(Message::Start { head, trailers })
}

/// > file: An opened file descriptor object with an underlying OS file descriptor [...]; offset: If this value exists, it
/// > will specify the offset at which sendfile starts to read data from file. Otherwise, it will be read from the current
/// > position of file; count: count is the number of bytes to copy between the file descriptors. If omitted, the file will
/// > be read until its end. — <https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send>
fn zero_copy(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = message.py();
    let file = message
        .get_item(intern!(py, "file"))?
        .ok_or_else(unsupported)?;
    let offset: Option<u64> = number(message, intern!(py, "offset"))?;
    let count: Option<u64> = number(message, intern!(py, "count"))?;
    let more = is_true(message, intern!(py, "more_body"))?;
    let region = file::region(&file, offset, count)?;
    Ok(Message::ZeroCopySend { region, more })
}

fn number(message: &Bound<'_, PyDict>, key: &Bound<'_, PyString>) -> PyResult<Option<u64>> {
    given(message, key)?
        .map(|value| value.extract())
        .transpose()
}

fn trailers(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let mut trailers = Trailers::new();
    for_each_header(message, |pair| fields::append_trailer(&mut trailers, pair))?;
    let more = is_true(message, intern!(message.py(), "more_trailers"))?;
    Ok(Message::Trailers { trailers, more })
}

fn early_hint(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let links = message
        .get_item(intern!(message.py(), "links"))?
        .ok_or_else(unsupported)?;
    let mut head = ResponseHead::informational(103).map_err(fields::head_error)?;
    for link in links.try_iter()? {
        head.append(b"link", fields::Octets::of(link?)?.as_bytes())
            .map_err(fields::head_error)?;
    }
    Ok(Message::EarlyHint(head))
}

fn push(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let path = message
        .get_item(intern!(message.py(), "path"))?
        .ok_or_else(unsupported)?;
    let path = path.cast::<PyString>()?.to_str()?;
    let mut promise = Promise::new(path).map_err(fields::head_error)?;
    for_each_header(message, |pair| fields::append_promised(&mut promise, pair))?;
    Ok(Message::Push(promise))
}

/// Calls `append` with each item of the message's `headers`, if it has any.
fn for_each_header(
    message: &Bound<'_, PyDict>,
    append: impl FnMut(&Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    match message.get_item(intern!(message.py(), "headers"))? {
        Some(headers) => fields::for_each_pair(&headers, append),
        None => Ok(()),
    }
}

/// The value of a key, if it exists and is not `None`.
pub(super) fn given<'py>(
    message: &Bound<'py, PyDict>,
    key: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(message.get_item(key)?.filter(|value| !value.is_none()))
}

fn is_true(message: &Bound<'_, PyDict>, key: &Bound<'_, PyString>) -> PyResult<bool> {
    match message.get_item(key)? {
        Some(value) => value.is_truthy(),
        None => Ok(false),
    }
}

pub(super) fn body(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = message.py();
    let data = match given(message, intern!(py, "body"))? {
        Some(body) => bytes_of(&body)?,
        None => Bytes::new(),
    };
    let more = is_true(message, intern!(py, "more_body"))?;
    Ok(Message::Body { data, more })
}

pub(super) fn unsupported() -> PyErr {
    PyRuntimeError::new_err("Unsupported ASGI message")
}
