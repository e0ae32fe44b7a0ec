//! `start_response`, the `write` it returns, and `wsgi.file_wrapper` (PEP 3333).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use granian_proto::ResponseHead;
use pyo3::exceptions::{PyBrokenPipeError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::seat::wait_for_client;
use crate::app::call::Call;
use crate::app::fields;
use crate::app::payload::bytes_of;
use granian_net::exchange::record::Reason;
use granian_net::exchange::reply::Reply;
use granian_net::exchange::room::HasRoom;
use granian_net::exchange::spool::{SPOOL_THRESHOLD, Spool, Unspooled};
use granian_net::runtime::waker::lock;

/// One request's `start_response`, a method, and the `write` that it returns: the object itself.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "WSGIStartResponse"
)]
pub(crate) struct StartResponse {
    call: Arc<Call>,
    /// `write` waits for the peer. Inline it cannot: the event loop runs on this thread.
    may_block: bool,
    /// The bytes that wait inline, beyond those in memory.
    spool: Mutex<Option<Spool>>,
    /// An application may call from a thread of its own.
    state: Mutex<State>,
}

enum State {
    NotCalled,
    /// Called; the head leaves with the first bytes of the body.
    Called(ResponseHead),
    Sent,
}

impl StartResponse {
    pub(crate) fn new(call: Arc<Call>, may_block: bool) -> Self {
        Self {
            call,
            may_block,
            spool: Mutex::default(),
            state: Mutex::new(State::NotCalled),
        }
    }

    /// Sends the head unless it was sent.
    pub(crate) fn send_head(&self) -> PyResult<()> {
        match self.take_head()? {
            Some(head) => self.call.start(head).map_err(order_error),
            None => Ok(()),
        }
    }

    /// The head if it was not sent; it counts as sent from now on.
    ///
    /// # Errors
    /// `RuntimeError` if `start_response` was not called.
    pub(crate) fn take_head(&self) -> PyResult<Option<ResponseHead>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Sent) {
            State::Called(head) => Ok(Some(head)),
            State::Sent => Ok(None),
            State::NotCalled => {
                *state = State::NotCalled;
                Err(PyRuntimeError::new_err("start_response() was not called"))
            }
        }
    }

    /// Sends bytes without waiting for the peer. Beyond a megabyte they wait in a temporary file, and so do those that
    /// come while it has any.
    ///
    /// # Errors
    /// `OSError` if that file has no room for them; the response is cut then.
    pub(crate) fn keep(&self, data: Bytes) -> PyResult<()> {
        let exchange = &self.call.exchange;
        let mut spool = lock(&self.spool);
        if spool.is_none() && exchange.waiting() < SPOOL_THRESHOLD {
            return self.call.data(data, false).map_err(order_error);
        }
        self.call.count(data.len()).map_err(order_error)?;
        if data.is_empty() || self.call.is_bodiless() || exchange.is_closed() {
            return Ok(());
        }
        let kept = self.call.calls.spools.append(&mut spool, &data);
        kept.map_err(|error| {
            // An application that catches the exception must not end a body that lacks bytes.
            exchange.explain(Reason::Other("no room for what write() was given"));
            exchange.send(Reply::Abort);
            no_room(error)
        })
    }

    /// Gives the temporary file back: the response is over.
    pub(crate) fn discard(&self) {
        drop(lock(&self.spool).take());
    }

    /// True if bytes wait in the temporary file.
    pub(crate) fn is_spooled(&self) -> bool {
        lock(&self.spool).is_some()
    }

    /// The next of them.
    ///
    /// # Errors
    /// `OSError` if the file cannot be read.
    pub(crate) fn next_spooled(&self) -> PyResult<Option<Bytes>> {
        let mut spool = lock(&self.spool);
        let data = spool.as_mut().map(Spool::next_piece).transpose()?;
        if spool.as_ref().is_some_and(|spool| !spool.is_unread()) {
            *spool = None;
        }
        Ok(data)
    }
}

fn no_room(error: Unspooled) -> PyErr {
    let (number, option) = match error {
        Unspooled::Storage(error) => return error.into(),
        Unspooled::TooLarge => (libc::EFBIG, "--wsgi-spool-limit"),
        Unspooled::Crowded => (libc::ENOSPC, "--wsgi-spool-total"),
    };
    PyOSError::new_err((
        number,
        format!(
            "what write() was given waits until the application returns, and has reached {option}: return an iterable"
        ),
    ))
}

#[pymethods]
#[expect(clippy::self_named_constructors, reason = "PEP 3333 has the name")]
impl StartResponse {
    // PEP 3333 has them by position; applications that name them use wsgiref's names.
    #[pyo3(signature = (status, headers, exc_info = None))]
    fn start_response<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyString>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let head = parse_head(status.to_str()?, headers)?;
        let mut state = lock(&this.state);
        match (&*state, exc_info) {
            (State::NotCalled, _) | (State::Called(_), Some(_)) => *state = State::Called(head),
            (State::Called(_) | State::Sent, None) => {
                return Err(PyRuntimeError::new_err(
                    "start_response() was called a second time without exc_info",
                ));
            }
            // "If exc_info is supplied, and any HTTP headers have already been output,
            // start_response must raise an error, and should re-raise using the exc_info tuple"
            (State::Sent, Some(exc_info)) => return Err(PyErr::from_value(exc_info.get_item(1)?)),
        }
        Ok(slf.clone())
    }

    /// `write(data)`, for applications that push their body: `BrokenPipeError` if nobody reads it any more.
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        let data = bytes_of(data.as_any())?;
        self.send_head()?;
        if self.may_block {
            self.call.data(data, false).map_err(order_error)?;
            if !self.call.exchange.has_room() {
                let exchange = &self.call.exchange;
                wait_for_client(py, exchange, |cx| exchange.poll_room(cx));
            }
        } else {
            self.keep(data)?;
        }
        match self.call.is_abandoned() {
            true => Err(PyBrokenPipeError::new_err(
                "the client left before its response was complete",
            )),
            false => Ok(()),
        }
    }
}

/// A response that goes against its own head, as the application is told.
pub(crate) fn order_error(error: crate::app::response::OrderError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// The head that a status such as `404 Not Found` and pairs of `str` stand for.
pub(crate) fn parse_head(status: &str, headers: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
    let code = match code.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => code.parse::<u16>().ok(),
        _ => None,
    };
    let Some(code) = code else {
        return Err(PyValueError::new_err(format!("invalid status {status:?}")));
    };
    let mut head = ResponseHead::new(code).map_err(fields::head_error)?;
    if !reason.is_empty() {
        head.set_reason(&fields::encode_latin1(reason)?)
            .map_err(fields::head_error)?;
    }
    if headers.is_instance_of::<PyString>() || headers.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err("response_headers must be a list"));
    }
    fields::for_each_pair(headers, |pair| fields::append_latin1(&mut head, pair))?;
    Ok(head)
}

/// `wsgi.file_wrapper`: an iterable over a file; a real file is sent by the kernel.
#[pyclass(frozen, module = "granian._granian", name = "FileWrapper")]
pub(crate) struct FileWrapper {
    pub(crate) file: Py<PyAny>,
    block_size: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size = 8192, /))]
    fn new(filelike: Py<PyAny>, block_size: usize) -> Self {
        Self {
            file: filelike,
            block_size,
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let data = self
            .file
            .call_method1(py, intern!(py, "read"), (self.block_size,))?;
        Ok(data.is_truthy(py)?.then_some(data))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.file.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

/// One piece of a body.
///
/// # Errors
/// `TypeError` for what is not `bytes`.
pub(crate) fn piece(object: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if !object.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(format!(
            "WSGI bodies are made of bytes, not {}",
            object.get_type().name()?
        )));
    }
    bytes_of(object)
}
