//! Methods and header fields between HTTP and Python; the usual names are objects made once.

use std::borrow::Cow;

use granian_proto::h2::Promise;
use granian_proto::{HeadError, ResponseHead, Trailers};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::payload::copied;

/// One well-known field: its name for ASGI and its key for WSGI.
struct Known {
    name: &'static [u8],
    bytes: Py<PyBytes>,
    environ: Py<PyString>,
}

/// Well-known fields by the length of their name.
struct Table([Vec<Known>; LONGEST + 1]);

fn known(py: Python<'_>, name: &[u8]) -> Option<&'static Known> {
    static TABLE: PyOnceLock<Table> = PyOnceLock::new();
    let table = TABLE.get_or_init(py, || {
        let mut table = Table(std::array::from_fn(|_| Vec::new()));
        for name in NAMES {
            table.0[name.len()].push(Known {
                name: name.as_bytes(),
                bytes: PyBytes::new(py, name.as_bytes()).unbind(),
                environ: PyString::intern(py, &environ_text(name.as_bytes())).unbind(),
            });
        }
        table
    });
    table
        .0
        .get(name.len())?
        .iter()
        .find(|known| known.name == name)
}

/// A method as `str`; the usual ones are made once.
pub(crate) fn method<'py>(py: Python<'py>, method: &str) -> Bound<'py, PyString> {
    match method {
        "GET" => intern!(py, "GET").clone(),
        "POST" => intern!(py, "POST").clone(),
        "HEAD" => intern!(py, "HEAD").clone(),
        "PUT" => intern!(py, "PUT").clone(),
        "DELETE" => intern!(py, "DELETE").clone(),
        "OPTIONS" => intern!(py, "OPTIONS").clone(),
        "PATCH" => intern!(py, "PATCH").clone(),
        other => PyString::new(py, other),
    }
}

/// A field name as ASGI has it: lower-case bytes.
pub(crate) fn name_bytes<'py>(py: Python<'py>, name: &[u8]) -> Bound<'py, PyBytes> {
    match known(py, name) {
        Some(known) => known.bytes.bind(py).clone(),
        None => PyBytes::new(py, name),
    }
}

/// A field that is the same in most WebSocket handshakes, as an object made once: scopes live as
/// long as their connections, of which there are many.
pub(crate) fn handshake_pair<'py>(
    py: Python<'py>,
    name: &[u8],
    value: &[u8],
) -> Option<Bound<'py, PyTuple>> {
    static PAIRS: PyOnceLock<Vec<Py<PyTuple>>> = PyOnceLock::new();
    let at = HANDSHAKE_PAIRS
        .iter()
        .position(|pair| pair.0.as_bytes() == name && pair.1.as_bytes() == value)?;
    let pairs = PAIRS.get_or_init(py, || {
        let pair = |(_, value): &(&str, &str), name| {
            PyTuple::new(py, [name, PyBytes::new(py, value.as_bytes())])
        };
        HANDSHAKE_PAIRS
            .iter()
            .filter_map(|known| pair(known, name_bytes(py, known.0.as_bytes())).ok())
            .map(Bound::unbind)
            .collect()
    });
    pairs.get(at).map(|pair| pair.bind(py).clone())
}

/// A field name as a WSGI environ has it: `HTTP_` and upper case (RFC 3875, 4.1.18).
pub(crate) fn environ_key<'py>(py: Python<'py>, name: &[u8]) -> Bound<'py, PyString> {
    match known(py, name) {
        Some(known) => known.environ.bind(py).clone(),
        None => PyString::new(py, &environ_text(name)),
    }
}

fn environ_text(name: &[u8]) -> String {
    let upper = name.iter().map(|byte| match byte {
        b'-' => '_',
        byte => byte.to_ascii_uppercase() as char,
    });
    "HTTP_".chars().chain(upper).collect()
}

/// Enlarges the table of `template`, and so of its copies, by `spare` items that are added and
/// removed. A copy that has to grow when a request's items are set takes as long as ten of them.
/// CPython's tables hold 21 items, or 42.
///
/// # Errors
/// When there is no memory.
pub(crate) fn reserve(template: &Bound<'_, PyDict>, spare: usize) -> PyResult<()> {
    let names: Vec<String> = (0..spare).map(|number| format!("spare {number}")).collect();
    names
        .iter()
        .try_for_each(|name| template.set_item(name, ""))?;
    names.iter().try_for_each(|name| template.del_item(name))
}

/// Bytes as text of the same code points, the form of header values in WSGI and RSGI.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return PyString::new(py, unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    let text: String = bytes.iter().map(|byte| *byte as char).collect();
    PyString::new(py, &text)
}

/// Calls `append` with each of the `pairs`: the items of a list, a tuple, or any iterable.
pub(crate) fn for_each_pair(
    pairs: &Bound<'_, PyAny>,
    mut append: impl FnMut(&Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    if let Ok(pairs) = pairs.cast_exact::<PyList>() {
        pairs.iter().try_for_each(|pair| append(&pair))
    } else if let Ok(pairs) = pairs.cast_exact::<PyTuple>() {
        pairs.iter().try_for_each(|pair| append(&pair))
    } else {
        pairs.try_iter()?.try_for_each(|pair| append(&pair?))
    }
}

/// Appends a field whose name and value are bytes-like.
pub(crate) fn append_bytes(head: &mut ResponseHead, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = bytes_pair(pair, HEADER_COMPLAINT)?;
    append(head, name.as_bytes(), value.as_bytes())
}

/// Appends a field of a further request, whose name and value are bytes-like.
pub(crate) fn append_promised(promise: &mut Promise, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = bytes_pair(pair, HEADER_COMPLAINT)?;
    promise
        .append(name.as_bytes(), value.as_bytes())
        .map_err(head_error)
}

/// The name and the value of a field, to keep.
///
/// # Errors
/// `TypeError` and `ValueError` for what is no pair of bytes-like objects.
pub(crate) fn owned_pair(pair: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, Vec<u8>)> {
    let (name, value) = bytes_pair(pair, HEADER_COMPLAINT)?;
    Ok((name.as_bytes().to_vec(), value.as_bytes().to_vec()))
}

/// Like `append_promised`, for `str`, sent as UTF-8.
pub(crate) fn append_promised_text(promise: &mut Promise, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = text_pair(pair)?;
    promise
        .append(name.to_str()?.as_bytes(), value.to_str()?.as_bytes())
        .map_err(head_error)
}

/// Appends a trailer field whose name and value are bytes-like.
pub(crate) fn append_trailer(trailers: &mut Trailers, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = bytes_pair(pair, "trailer names and values must be bytes-like")?;
    trailers
        .append(name.as_bytes(), value.as_bytes())
        .map_err(head_error)
}

/// Like `append_trailer`, for `str`, sent as UTF-8.
pub(crate) fn append_trailer_text(
    trailers: &mut Trailers,
    pair: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (name, value) = text_pair(pair)?;
    trailers
        .append(name.to_str()?.as_bytes(), value.to_str()?.as_bytes())
        .map_err(head_error)
}

/// Appends a field whose name and value are `str`, sent as UTF-8.
pub(crate) fn append_text(head: &mut ResponseHead, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = text_pair(pair)?;
    append(head, name.to_str()?.as_bytes(), value.to_str()?.as_bytes())
}

/// Appends a field whose name and value are `str` of code points below 256 (PEP 3333).
pub(crate) fn append_latin1(head: &mut ResponseHead, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = text_pair(pair)?;
    append(
        head,
        name.to_str()?.as_bytes(),
        &encode_latin1(value.to_str()?)?,
    )
}

/// Text as the bytes of the same code points.
pub(crate) fn encode_latin1(text: &str) -> PyResult<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    text.chars()
        .map(|char| {
            u8::try_from(char)
                .map_err(|_| PyValueError::new_err(format!("{char:?} is not in latin-1")))
        })
        .collect::<PyResult<Vec<u8>>>()
        .map(Cow::Owned)
}

fn append(head: &mut ResponseHead, name: &[u8], value: &[u8]) -> PyResult<()> {
    head.append(name, value).map_err(head_error)
}

fn bytes_pair<'py>(
    pair: &Bound<'py, PyAny>,
    complaint: &'static str,
) -> PyResult<(Octets<'py>, Octets<'py>)> {
    let (name, value) = pair_of(pair)?;
    match (Octets::of(name), Octets::of(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(PyTypeError::new_err(complaint)),
    }
}

/// The bytes of a bytes-like object. Those of `bytes` are not copied.
pub(crate) enum Octets<'py> {
    Bytes(Bound<'py, PyBytes>),
    Copied(Vec<u8>),
}

impl<'py> Octets<'py> {
    /// # Errors
    /// `TypeError` for what is not bytes-like.
    pub(crate) fn of(object: Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(other) => copied(&other.into_inner()).map(Self::Copied),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Copied(bytes) => bytes,
        }
    }
}

/// The name and the value of a field, which must be `str`.
pub(crate) fn text_pair<'py>(
    pair: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyString>)> {
    let (name, value) = pair_of(pair)?;
    match (name.cast_into(), value.cast_into()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(PyTypeError::new_err("header names and values must be str")),
    }
}

fn pair_of<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(tuple) = pair.cast_exact::<PyTuple>()
        && tuple.len() == 2
    {
        return Ok((tuple.get_item(0)?, tuple.get_item(1)?));
    }
    // The items of a dictionary are its keys.
    if pair.is_instance_of::<PyString>() || pair.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(NO_PAIR));
    }
    if pair.len()? != 2 {
        return Err(PyValueError::new_err(NO_PAIR));
    }
    Ok((pair.get_item(0)?, pair.get_item(1)?))
}

/// The exception for a wrong head.
pub(crate) fn head_error(error: HeadError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

const HEADER_COMPLAINT: &str = "header names and values must be bytes-like";
const NO_PAIR: &str = "a header is a pair of name and value";
const HANDSHAKE_PAIRS: [(&str, &str); 5] = [
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("connection", "upgrade"),
    ("sec-websocket-version", "13"),
    (
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits",
    ),
];
const LONGEST: usize = 32;
const NAMES: [&str; 51] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
