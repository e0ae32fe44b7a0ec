//! `wsgi.input`: the request's body as a file object (PEP 3333, "Input and Error Streams").

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use bytes::BytesMut;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use super::seat::wait_for_client;
use crate::app::call::Call;
use crate::app::making::made_at_once;
use granian_net::exchange::BodyRead;

/// Reads block, with the interpreter released, until enough of the body has come.
#[pyclass(frozen, freelist = 64, module = "granian._granian", name = "WSGIInput")]
pub(crate) struct Input {
    call: Arc<Call>,
    /// Threads that the application starts may share the stream; held for the length of a read, in
    /// which no Python code runs.
    buffer: Mutex<Buffer>,
}

#[derive(Default)]
struct Buffer {
    bytes: BytesMut,
    complete: bool,
    /// Bytes at the start that are known to hold no newline.
    scanned: usize,
}

impl Input {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            buffer: Mutex::new(Buffer::default()),
        }
    }

    /// Adds the next piece of the body.
    ///
    /// # Errors
    /// `ConnectionResetError` if the peer left before its end.
    fn fill(&self, py: Python<'_>, buffer: &mut Buffer) -> PyResult<()> {
        let read = match self.call.try_body() {
            Some(read) => read,
            None => {
                let call = &self.call;
                wait_for_client(py, &call.exchange, |cx: &mut Context<'_>| {
                    call.poll_body(cx)
                })
            }
        };
        match read {
            BodyRead::Data { data, last } => {
                data.append_to(&mut buffer.bytes);
                buffer.complete = last;
                Ok(())
            }
            BodyRead::Gone => Err(PyConnectionResetError::new_err(
                "the client left before its request was complete",
            )),
            BodyRead::Unreadable(error) => Err(error.into()),
        }
    }

    fn with_buffer<T>(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&mut Buffer) -> PyResult<T>,
    ) -> PyResult<T> {
        // Waited for with the interpreter released: who holds it may need that to go on.
        let mut buffer = self
            .buffer
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        read(&mut buffer)
    }

    fn line(
        &self,
        py: Python<'_>,
        buffer: &mut Buffer,
        limit: Option<usize>,
    ) -> PyResult<BytesMut> {
        let limit = limit.unwrap_or(usize::MAX);
        loop {
            let newline = memchr::memchr(b'\n', &buffer.bytes[buffer.scanned..]);
            let end = match newline {
                Some(at) => buffer.scanned + at + 1,
                None if buffer.complete => buffer.bytes.len(),
                None if buffer.bytes.len() >= limit => limit,
                None => {
                    buffer.scanned = buffer.bytes.len();
                    self.fill(py, buffer)?;
                    continue;
                }
            };
            buffer.scanned = 0;
            return Ok(buffer.bytes.split_to(end.min(limit)));
        }
    }
}

#[pymethods]
impl Input {
    /// Up to `size` bytes, fewer only at the end; all that is left if `size` is negative or `None`.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(usize::MAX);
        self.with_buffer(py, |buffer| {
            while !buffer.complete && buffer.bytes.len() < wanted {
                self.fill(py, buffer)?;
            }
            buffer.scanned = 0;
            let count = wanted.min(buffer.bytes.len());
            made_at_once(py, buffer.bytes.split_to(count))
        })
    }

    /// One line with its newline, at most `size` bytes of it.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| usize::try_from(size).ok());
        self.with_buffer(py, |buffer| {
            Ok(PyBytes::new(py, &self.line(py, buffer, limit)?))
        })
    }

    /// The lines that are left; no further ones once `hint` bytes are reached.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint
            .and_then(|hint| usize::try_from(hint).ok())
            .filter(|hint| *hint > 0);
        let lines = PyList::empty(py);
        let mut total = 0;
        loop {
            let line = self.readline(py, None)?;
            total += line.as_bytes().len();
            if line.as_bytes().is_empty() {
                return Ok(lines);
            }
            lines.append(line)?;
            if hint.is_some_and(|hint| total >= hint) {
                return Ok(lines);
            }
        }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }
}
