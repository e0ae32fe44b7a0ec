//! `protocol`: the body and the responses of one RSGI request. Every response method has taken
//! effect when it returns; what it returns may be awaited.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use granian_proto::ResponseHead;
use granian_proto::h2::Promise;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::body::{Iteration, Piece, Whole};
use super::head::{for_each_header, head};
use super::protocol_error;
use super::transport::Transport;
use crate::app::awaitable::{Awaitable, Waitable, done};
use crate::app::call::Call;
use crate::app::fields;
use crate::app::payload::bytes_of;
use crate::app::response::OrderError;
use crate::app::room::sent;
use crate::python::{EventLoop, enter};
use granian_net::runtime::waker::lock;

/// See the module's documentation.
#[pyclass(
    frozen,
    freelist = 64,
    module = "granian._granian",
    name = "RSGIHTTPProtocol"
)]
pub(crate) struct Http {
    call: Arc<Call>,
    /// Set once somebody reads the body. The lock serves applications that use threads.
    reading: Mutex<Option<Reading>>,
}

#[derive(Clone)]
enum Reading {
    Whole,
    Pieces(Arc<Mutex<Iteration>>),
}

impl Http {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            reading: Mutex::new(None),
        }
    }

    fn begin(&self, py: Python<'_>, reading: Reading) -> PyResult<()> {
        let is_first = {
            let mut state = lock(&self.reading);
            let is_first = state.is_none();
            state.get_or_insert(reading);
            is_first
        };
        match is_first {
            true => Ok(()),
            false => Err(protocol_error(py, "RSGI protocol error")),
        }
    }

    fn respond<'py>(
        &self,
        py: Python<'py>,
        head: ResponseHead,
        body: Bytes,
    ) -> PyResult<Bound<'py, PyAny>> {
        let entry = enter();
        match self.call.whole(head, body) {
            // RSGI 4.2: a second response does nothing.
            Ok(()) | Err(OrderError::AlreadyStarted | OrderError::AlreadyFinished) => {}
            Err(error) => return Err(protocol_error(py, &error.to_string())),
        }
        drop(entry);
        sent(py, &self.call)
    }

    /// These calls return at once and take effect however often they are made: an application that
    /// never awaits what they return could fill the memory.
    ///
    /// # Errors
    /// `ProtocolError` if it is about to.
    fn check_overrun(&self, py: Python<'_>, what: &str) -> PyResult<()> {
        if self.call.exchange.is_overrun() {
            let message = format!("too many {what} wait for the client: await them");
            return Err(protocol_error(py, &message));
        }
        Ok(())
    }

    fn respond_file<'py>(
        &self,
        py: Python<'py>,
        head: ResponseHead,
        path: PathBuf,
        range: Option<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _entry = enter();
        match self.call.start(head) {
            Ok(()) => {}
            Err(OrderError::AlreadyStarted | OrderError::AlreadyFinished) => return done(py),
            Err(error) => return Err(protocol_error(py, &error.to_string())),
        }
        self.call
            .send_path(path, range)
            .map_err(|error| protocol_error(py, &error.to_string()))?;
        done(py)
    }
}

#[pymethods]
impl Http {
    /// `await protocol()`: the whole body.
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.begin(py, Reading::Whole)?;
        Awaitable::start(py, Whole::new(Arc::clone(&self.call)))
    }

    /// `async for piece in protocol`
    fn __aiter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let iteration = Arc::new(Mutex::new(Iteration::Reading));
        slf.get().begin(slf.py(), Reading::Pieces(iteration))?;
        Ok(slf)
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let reading = lock(&self.reading).clone();
        let iteration = match reading {
            Some(Reading::Pieces(iteration)) => iteration,
            _ => Arc::new(Mutex::new(Iteration::Exhausted)),
        };
        Awaitable::start(
            py,
            Piece {
                call: Arc::clone(&self.call),
                iteration,
            },
        )
    }

    /// `await protocol.client_disconnect()`: until the peer is gone or the response has left.
    fn client_disconnect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Awaitable::start(py, Disconnect(Arc::clone(&self.call)))
    }

    /// `protocol.early_hints(links)`: sends 103 with these values of Link (RFC 8297).
    fn early_hints<'py>(
        &self,
        py: Python<'py>,
        links: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if links.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("links must be a sequence of str"));
        }
        let mut head = ResponseHead::informational(103).map_err(fields::head_error)?;
        for link in links.try_iter()? {
            let link = link?.cast_into::<PyString>()?;
            head.append(b"link", link.to_str()?.as_bytes())
                .map_err(fields::head_error)?;
        }
        self.check_overrun(py, "early hints")?;
        let entry = enter();
        self.call
            .inform(head)
            .map_err(|error| protocol_error(py, &error.to_string()))?;
        drop(entry);
        sent(py, &self.call)
    }

    /// `protocol.push(path, headers)`: makes a further request in the client's place and sends the
    /// response beside this one, where the client takes it.
    #[pyo3(signature = (path, headers = None))]
    fn push<'py>(
        &self,
        py: Python<'py>,
        path: Bound<'py, PyString>,
        headers: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut promise = Promise::new(path.to_str()?).map_err(fields::head_error)?;
        for_each_header(headers.as_ref(), |pair| {
            fields::append_promised_text(&mut promise, pair)
        })?;
        self.check_overrun(py, "pushes")?;
        let entry = enter();
        self.call
            .push(promise)
            .map_err(|error| protocol_error(py, &error.to_string()))?;
        drop(entry);
        sent(py, &self.call)
    }

    #[pyo3(signature = (status = 200, headers = None))]
    fn response_empty<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.respond(py, head(status, headers.as_ref())?, Bytes::new())
    }

    #[pyo3(signature = (status = 200, headers = None, body = None))]
    fn response_str<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Option<Bound<'py, PyAny>>,
        body: Option<Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = match &body {
            Some(body) => Bytes::copy_from_slice(body.to_str()?.as_bytes()),
            None => Bytes::new(),
        };
        self.respond(py, head(status, headers.as_ref())?, body)
    }

    #[pyo3(signature = (status = 200, headers = None, body = None))]
    fn response_bytes<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Option<Bound<'py, PyAny>>,
        body: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = body.as_ref().map_or_else(|| Ok(Bytes::new()), bytes_of)?;
        self.respond(py, head(status, headers.as_ref())?, body)
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    #[pyo3(signature = (status = 200, headers = None, file = None, *, file_path = None))]
    fn response_file<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Option<Bound<'py, PyAny>>,
        file: Option<PathBuf>,
        file_path: Option<PathBuf>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(path) = file.or(file_path) else {
            return Err(PyTypeError::new_err(
                "response_file() missing argument: 'file'",
            ));
        };
        self.respond_file(py, head(status, headers.as_ref())?, path, None)
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    #[pyo3(signature = (status, headers, file = None, start = None, end = None, *, file_path = None))]
    fn response_file_range<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Bound<'py, PyAny>,
        file: Option<PathBuf>,
        start: Option<u64>,
        end: Option<u64>,
        file_path: Option<PathBuf>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let missing = |name| {
            let message = format!("response_file_range() missing argument: '{name}'");
            PyTypeError::new_err(message)
        };
        let path = file.or(file_path).ok_or_else(|| missing("file"))?;
        let start = start.ok_or_else(|| missing("start"))?;
        let end = end.ok_or_else(|| missing("end"))?;
        if start >= end {
            return Err(PyValueError::new_err("Invalid range"));
        }
        self.respond_file(py, head(status, Some(&headers))?, path, Some((start, end)))
    }

    #[pyo3(signature = (status = 200, headers = None))]
    fn response_stream(
        &self,
        py: Python<'_>,
        status: u16,
        headers: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Transport> {
        let head = head(status, headers.as_ref())?;
        let _entry = enter();
        match self.call.stream(head) {
            Ok(()) => Ok(Transport::new(Arc::clone(&self.call))),
            Err(_) => Err(protocol_error(py, "RSGI protocol error")),
        }
    }
}

struct Disconnect(Arc<Call>);

impl Waitable for Disconnect {
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        self.0.exchange.poll_over(cx).map(|_| Ok(py.None()))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        self.0.exchange.over().map(|_| Ok(py.None()))
    }

    fn forget(&self, waker: &Waker) {
        self.0.exchange.forget(waker);
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.0.calls.event_loop
    }
}
