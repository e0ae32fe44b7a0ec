//! `Runner`: the coroutine that a task of the application runs. It passes every step on to the
//! application's own coroutine, notes its outcome, and keeps its exceptions from the event loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use pyo3::exceptions::PyTypeError;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::call::{Call, Outcome};
use super::response::Progress;
use crate::starts::{Starts, Waits};
use granian_net::runtime::waker::lock;

/// A coroutine in all but type (`collections.abc.Coroutine`).
#[pyclass(frozen, freelist = 64, module = "granian._granian")]
pub(crate) struct Runner {
    coroutine: Py<PyAny>,
    /// The coroutine of the second call, once there is one.
    second: OnceLock<Py<PyAny>>,
    /// The arguments of a second call, until the first one ends.
    again: Mutex<Option<Again>>,
    call: Arc<Call>,
    /// A task runs on one thread, but may be dropped on any.
    ended: AtomicBool,
    waits: Waits,
}

/// The call of an application that may have to be repeated, because it ended without an answer.
pub(crate) struct Again {
    /// The application.
    pub(crate) callable: Py<PyAny>,
    /// The first call's.
    pub(crate) scope: Py<PyDict>,
    /// Makes the awaitable of the second call, or `None` where there is to be none.
    pub(crate) repeat: Repeat,
}

/// See [`Again::repeat`].
pub(crate) type Repeat =
    for<'py> fn(Python<'py>, &Again, &Arc<Call>) -> PyResult<Option<Bound<'py, PyAny>>>;

/// Runs `awaitable`, which the application's call returned, as a task of its own. An error of that
/// call ends the exchange as an error of the task would. `again` is for a call without an answer.
pub(crate) fn run<'py>(
    py: Python<'py>,
    call: Arc<Call>,
    awaitable: PyResult<Bound<'py, PyAny>>,
    again: Option<Again>,
) {
    let coroutine = match awaitable.and_then(into_iterator) {
        Ok(coroutine) => coroutine,
        Err(error) => return call.finish(py, Outcome::Raised(error)),
    };
    let runner = Runner {
        coroutine: coroutine.unbind(),
        second: OnceLock::new(),
        again: Mutex::new(again),
        call: Arc::clone(&call),
        ended: AtomicBool::new(false),
        waits: Waits::default(),
    };
    let started = Bound::new(py, runner).and_then(|runner| {
        let starts = call.calls.event_loop.starts();
        let task = starts.start(runner.as_any(), &runner.get().waits)?;
        if !runner.get().ended.load(Ordering::Relaxed) {
            call.keep(task.unbind());
        }
        Ok(())
    });
    if let Err(error) = started {
        // The runner, dropped unfinished, has ended the call.
        call.calls.report(py, error);
    }
}

/// The iterator that `await awaitable` would step.
fn into_iterator(awaitable: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: only the object's type is read.
    if unsafe { ffi::PyCoro_CheckExact(awaitable.as_ptr()) } != 0 {
        return Ok(awaitable);
    }
    let py = awaitable.py();
    match awaitable.getattr_opt(intern!(py, "__await__"))? {
        Some(method) => method.call0(),
        None => Err(PyTypeError::new_err(format!(
            "Application returned {} instead of an awaitable",
            awaitable.get_type().name()?
        ))),
    }
}

impl Runner {
    /// One step: the object that the coroutine waits for, or `None` when it has ended.
    fn step(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.starts().begin(&self.waits);
        let mut result = std::ptr::null_mut();
        let coroutine = self.coroutine().as_ptr();
        // SAFETY: both objects are alive and the interpreter is attached; `result` is a new
        // reference, or null with an error set, as the status says.
        let status = unsafe { ffi::PyIter_Send(coroutine, ffi::Py_None(), &raw mut result) };
        match status {
            ffi::PySendResult::PYGEN_NEXT => {
                // SAFETY: see above.
                unsafe { Bound::from_owned_ptr_or_err(py, result) }
                    .map(|value| Some(self.suspend(py, value.unbind())))
            }
            ffi::PySendResult::PYGEN_RETURN => {
                // SAFETY: see above.
                drop(unsafe { Bound::from_owned_ptr_or_opt(py, result) });
                self.end_or_repeat(py)
            }
            ffi::PySendResult::PYGEN_ERROR => self.end_with(py, PyErr::fetch(py)),
        }
    }

    /// The task passes on `awaited`, which the coroutine waits for.
    fn suspend(&self, py: Python<'_>, awaited: Py<PyAny>) -> Py<PyAny> {
        self.starts().suspend(&self.waits, awaited.bind(py));
        awaited
    }

    fn starts(&self) -> &Starts {
        self.call.calls.event_loop.starts()
    }

    fn end_with(&self, py: Python<'_>, error: PyErr) -> PyResult<Option<Py<PyAny>>> {
        if error.is_instance_of::<pyo3::exceptions::PyStopIteration>(py) {
            return self.end_or_repeat(py);
        }
        if error.is_instance_of::<CancelledError>(py) {
            let cancelled = error.clone_ref(py);
            let is_ours = self.call.calls.is_cancelling() || self.call.exchange.over().is_some();
            // Nothing asked for this cancellation, so it is an error, with its reason in the log.
            let outcome = match is_ours || self.call.progress() == Progress::Whole {
                true => Outcome::Cancelled,
                false => Outcome::Raised(error),
            };
            self.end(py, outcome);
            return Err(cancelled);
        }
        self.end(py, Outcome::Raised(error));
        Ok(None)
    }

    /// The application has returned. Where it has answered nothing and is to be called once more,
    /// this task goes on with that call.
    fn end_or_repeat(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let again = lock(&self.again).take();
        if let Some(again) = again
            && self.call.progress() == Progress::Nothing
            && self.call.exchange.over().is_none()
        {
            match (again.repeat)(py, &again, &self.call) {
                Ok(None) => {}
                Ok(Some(awaitable)) => match into_iterator(awaitable) {
                    Ok(second) => {
                        // Only one call has something to repeat.
                        let _ = self.second.set(second.unbind());
                        return self.step(py);
                    }
                    Err(error) => return self.end_with(py, error),
                },
                Err(error) => return self.end_with(py, error),
            }
        }
        self.end(py, Outcome::Returned);
        Ok(None)
    }

    fn coroutine(&self) -> &Py<PyAny> {
        self.second.get().unwrap_or(&self.coroutine)
    }

    fn end(&self, py: Python<'_>, outcome: Outcome) {
        // The scope may lead back to the task that this is the coroutine of.
        drop(lock(&self.again).take());
        self.starts().leave(&self.waits);
        if !self.ended.swap(true, Ordering::AcqRel) {
            let _entry = crate::python::enter();
            self.call.finish(py, outcome);
        }
    }
}

#[pymethods]
impl Runner {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.step(py)
    }

    fn send(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let step = if value.is_none() {
            self.step(py)
        } else {
            self.starts().begin(&self.waits);
            match self
                .coroutine()
                .call_method1(py, intern!(py, "send"), (value,))
            {
                Ok(value) => Ok(Some(self.suspend(py, value))),
                Err(error) => self.end_with(py, error),
            }
        };
        step?.ok_or_else(|| pyo3::exceptions::PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (*exception))]
    fn throw(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        self.starts().begin(&self.waits);
        match self
            .coroutine()
            .call_method1(py, intern!(py, "throw"), exception)
        {
            Ok(value) => Ok(self.suspend(py, value)),
            Err(error) => self
                .end_with(py, error)?
                .ok_or_else(|| pyo3::exceptions::PyStopIteration::new_err(())),
        }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let result = self.coroutine().call_method0(py, intern!(py, "close"));
        self.end(py, Outcome::Cancelled);
        result.map(drop)
    }

    /// The application's frame, for `Task.get_stack` and debuggers.
    #[getter]
    fn cr_frame(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.attribute(py, "cr_frame")
    }

    #[getter]
    fn cr_code(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.attribute(py, "cr_code")
    }

    #[getter]
    fn cr_await(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.attribute(py, "cr_await")
    }

    #[getter]
    fn cr_running(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.attribute(py, "cr_running")
    }
}

impl Runner {
    fn attribute(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        self.coroutine().getattr(py, name)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // A coroutine may have suspended after its end, against all rules.
        self.starts().leave(&self.waits);
        if !*self.ended.get_mut() {
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
