//! `ResponseIterator`: what a WSGI application returned, sent piece by piece as the peer reads.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyList, PyTuple, PyType};

use super::start_response::{FileWrapper, StartResponse, order_error, piece};
use crate::app::call::{Call, Outcome};
use crate::app::response::Progress;
use granian_net::exchange::reply::Reply;
use granian_net::stream::region::FileRegion;

/// A response that is being iterated over.
pub(crate) struct ResponseIterator {
    call: Arc<Call>,
    start: Py<StartResponse>,
    iterator: Py<PyIterator>,
    returned: Py<PyAny>,
    /// The iterator has ended, though bytes may be left in the temporary file.
    exhausted: bool,
    ended: bool,
}

impl ResponseIterator {
    /// Calls the application. `None` if its response is whole, or failed, and the call has ended.
    pub(crate) fn begin<'py>(
        py: Python<'py>,
        callable: &Bound<'py, PyAny>,
        environ: Bound<'py, PyAny>,
        call: Arc<Call>,
        may_block: bool,
    ) -> Option<Self> {
        call.exchange.set_thread(thread_number());
        let outcome = match Self::try_begin(callable, environ, &call, may_block) {
            Ok(Some(rest)) => return Some(rest),
            Ok(None) => Outcome::Returned,
            Err(error) => Outcome::Raised(error),
        };
        call.finish(py, outcome);
        None
    }

    /// The same without the call's end. `None` if the response is whole.
    fn try_begin<'py>(
        callable: &Bound<'py, PyAny>,
        environ: Bound<'py, PyAny>,
        call: &Arc<Call>,
        may_block: bool,
    ) -> PyResult<Option<Self>> {
        let py = callable.py();
        let start = Bound::new(py, StartResponse::new(Arc::clone(call), may_block))?;
        let begun = start
            .getattr(intern!(py, "start_response"))
            .and_then(|start_response| callable.call1((environ, start_response)))
            .and_then(|returned| Self::of_returned(call, &start, returned));
        if begun.is_err() {
            start.get().discard();
        }
        begun
    }

    /// The rest of the response that the application has `returned`; `None` if there is none.
    fn of_returned(
        call: &Arc<Call>,
        start: &Bound<'_, StartResponse>,
        returned: Bound<'_, PyAny>,
    ) -> PyResult<Option<Self>> {
        let sent = match start.get().is_spooled() {
            true => Ok(false), // bytes of `write` come before
            false => send_at_once(call, start.get(), &returned),
        };
        let iterator = match sent {
            Ok(true) => Ok(None),
            Ok(false) => returned.try_iter().map(Some),
            Err(error) => Err(error),
        };
        let Ok(Some(iterator)) = iterator else {
            close(returned.py(), call, &returned);
            return iterator.map(|_| None);
        };
        Ok(Some(Self {
            call: Arc::clone(call),
            start: start.clone().unbind(),
            iterator: iterator.unbind(),
            returned: returned.unbind(),
            exhausted: false,
            ended: false,
        }))
    }

    /// Sends the next piece. False if the response is complete, has failed, or the peer has left.
    pub(crate) fn step(&mut self, py: Python<'_>) -> bool {
        if self.call.exchange.is_closed() {
            self.end(py, Outcome::Cancelled);
            return false;
        }
        match self.try_step(py) {
            Ok(true) => true,
            Ok(false) => {
                self.end(py, Outcome::Returned);
                false
            }
            Err(error) => {
                self.end(py, Outcome::Raised(error));
                false
            }
        }
    }

    fn try_step(&mut self, py: Python<'_>) -> PyResult<bool> {
        let start = self.start.get();
        if let Some(data) = start.next_spooled()? {
            self.call.exchange.send(Reply::Data { data, last: false });
            return Ok(true);
        }
        let object = match self.exhausted {
            true => None,
            false => self.iterator.bind(py).clone().next(),
        };
        let Some(object) = object else {
            start.send_head()?;
            // The iterator may have called `write`.
            self.exhausted = true;
            if start.is_spooled() {
                return Ok(true);
            }
            self.call.end().map_err(order_error)?;
            return Ok(false);
        };
        let data = piece(&object?)?;
        if !data.is_empty() {
            start.send_head()?;
            match start.is_spooled() {
                true => start.keep(data)?,
                false => self.call.data(data, false).map_err(order_error)?,
            }
            if self.call.is_bodiless() {
                // The peer has left, and the rest may be endless.
                self.call.end().map_err(order_error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end(&mut self, py: Python<'_>, outcome: Outcome) {
        if !std::mem::replace(&mut self.ended, true) {
            close(py, &self.call, self.returned.bind(py));
            self.start.get().discard();
            self.call.finish(py, outcome);
        }
    }
}

impl Drop for ResponseIterator {
    fn drop(&mut self) {
        if !self.ended {
            Python::attach(|py| {
                // It may be freed while an exception is on its way.
                let pending = PyErr::take(py);
                self.end(py, Outcome::Cancelled);
                if let Some(error) = pending {
                    error.restore(py);
                }
            });
        }
    }
}

/// "If the iterable returned by the application has a close() method, the server or gateway must
/// call that method upon completion of the current request"
fn close(py: Python<'_>, call: &Call, returned: &Bound<'_, PyAny>) {
    if returned.is_exact_instance_of::<PyList>() {
        return;
    }
    let result = match returned.getattr_opt(intern!(py, "close")) {
        Ok(Some(close)) => close.call0().map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        call.calls.report(py, error);
    }
}

/// Sends a body whose length is known: a list, a tuple, a real file. False if it is neither.
fn send_at_once(call: &Call, start: &StartResponse, returned: &Bound<'_, PyAny>) -> PyResult<bool> {
    let data = if let Ok(list) = returned.cast::<PyList>() {
        gather(list.iter())?
    } else if let Ok(tuple) = returned.cast::<PyTuple>() {
        gather(tuple.iter())?
    } else if let Ok(wrapper) = returned.cast::<FileWrapper>() {
        return send_file(call, start, wrapper);
    } else {
        return Ok(false);
    };
    if call.progress() == Progress::Nothing
        && let Some(head) = start.take_head()?
    {
        call.whole(head, data).map_err(order_error)?;
    } else {
        // `write` has sent a part of the body before.
        call.data(data, true).map_err(order_error)?;
    }
    Ok(true)
}

fn gather<'py>(mut objects: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> PyResult<Bytes> {
    if objects.len() == 1 {
        return objects
            .next()
            .map_or(Ok(Bytes::new()), |object| piece(&object));
    }
    let pieces = objects
        .map(|object| piece(&object))
        .collect::<PyResult<Vec<_>>>()?;
    Ok(Bytes::from(pieces.concat()))
}

/// Sends the rest of a real file from its position. False for anything else.
fn send_file(
    call: &Call,
    start: &StartResponse,
    wrapper: &Bound<'_, FileWrapper>,
) -> PyResult<bool> {
    let Some(region) = region_of(wrapper.get().file.bind(wrapper.py())) else {
        return Ok(false);
    };
    let Some(head) = start.take_head()? else {
        return Ok(false);
    };
    let len = head.content_length().unwrap_or(region.len);
    let region = region.slice(0, len);
    match region.read_now() {
        Some(data) => call.whole(head, data),
        None => call.start(head).and_then(|()| call.file(region, true)),
    }
    .map_err(order_error)?;
    Ok(true)
}

/// The calling thread's number, as `threading.get_ident` has it.
fn thread_number() -> u64 {
    // SAFETY: the call has no preconditions.
    unsafe { libc::pthread_self() as u64 }
}

/// True for `io.FileIO`, which reads the file's own bytes.
fn is_file_io(file: &Bound<'_, PyAny>) -> bool {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(file.py(), "io", "FileIO")
        .and_then(|kind| file.is_instance(kind))
        .unwrap_or(false)
}

/// The rest of a binary file object with a descriptor and a position, if the file is a regular one.
/// Other objects have a descriptor too, but read other bytes than those of the file: text files,
/// `gzip.GzipFile`.
fn region_of(file: &Bound<'_, PyAny>) -> Option<FileRegion> {
    let py = file.py();
    let raw = file.getattr_opt(intern!(py, "raw")).ok()?;
    if !is_file_io(raw.as_ref().unwrap_or(file)) {
        return None;
    }
    let descriptor: i32 = file
        .call_method0(intern!(py, "fileno"))
        .ok()?
        .extract()
        .ok()?;
    let position: u64 = file
        .call_method0(intern!(py, "tell"))
        .ok()?
        .extract()
        .ok()?;
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the file object is alive and has just named the descriptor as its own.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let file = File::from(borrowed.try_clone_to_owned().ok()?);
    let region = FileRegion::of_file(file).ok()?;
    Some(region.slice(position, u64::MAX))
}
