//! `Awaitable`: the result of `receive()`, `send()` and similar calls. It is done already when
//! nothing has to be waited for, and tasks, `gather` and `wait_for` accept it as a coroutine.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::call::Call;
use crate::python::{EventLoop, FutureWaker, enter};
use granian_net::runtime::waker::lock;

/// Something that an application can wait for.
pub(crate) trait Waitable: Send + Sync {
    /// The value; or `Pending`, and `cx` is woken later. It is not called again after it has given
    /// the value.
    fn poll(&self, py: Python<'_>, cx: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>>;

    /// Drops `waker`: its wait was cancelled.
    fn forget(&self, _waker: &Waker) {}

    /// It is not awaited any more and has not given its value, whether a waker waits for that or not.
    fn cancelled(&self) {}

    /// The value, if it exists without waiting.
    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>>;

    /// True if `try_now` has given nothing because it makes the value in parts: it is to be called again in the loop's
    /// next pass.
    fn is_making(&self) -> bool {
        false
    }

    /// True if tasks that `try_now` has woken may wait until Python code gives the loop back.
    fn defers(&self) -> bool {
        false
    }

    /// The loop that the wait is on.
    fn event_loop(&self) -> &Arc<EventLoop>;
}

/// A coroutine (`collections.abc.Coroutine`) over a [`Waitable`]. It takes its value when it is
/// awaited, so an awaitable that is never awaited, or cancelled, loses nothing.
#[pyclass(frozen, freelist = 64, module = "granian._granian")]
pub(crate) struct Awaitable {
    waitable: Box<dyn Waitable>,
    /// `IDLE`, `RUNNING` or `ENDED`. A step runs Python code, which may step this awaitable again,
    /// also on another thread. A second step gets an error and does not wait for the first.
    stage: AtomicU8,
    /// The waker that a pending wait is registered with. Only the running step takes the lock, for
    /// a move.
    waker: Mutex<Option<Waker>>,
}

/// The running step. Unless `finish` is called, further steps may follow.
struct Step<'a> {
    stage: &'a AtomicU8,
    next: u8,
}

impl<'a> Step<'a> {
    /// # Errors
    /// `RuntimeError` if another step runs, or none may follow.
    fn begin(stage: &'a AtomicU8) -> PyResult<Self> {
        match stage.compare_exchange(IDLE, RUNNING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => Ok(Self { stage, next: IDLE }),
            Err(RUNNING) => Err(PyRuntimeError::new_err("being awaited already")),
            Err(_) => Err(PyRuntimeError::new_err("already awaited")),
        }
    }

    fn finish(mut self) {
        self.next = ENDED;
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.stage.store(self.next, Ordering::Release);
    }
}

impl Awaitable {
    /// The Python object that waits for `waitable`.
    pub(crate) fn start(
        py: Python<'_>,
        waitable: impl Waitable + 'static,
    ) -> PyResult<Bound<'_, PyAny>> {
        let awaitable = Self {
            waitable: Box::new(waitable),
            stage: AtomicU8::new(IDLE),
            waker: Mutex::new(None),
        };
        Ok(Bound::new(py, awaitable)?.into_any())
    }

    /// Nothing to do if it has ended.
    ///
    /// # Errors
    /// `RuntimeError` if a step runs.
    fn cancel(&self) -> PyResult<()> {
        if self.stage.load(Ordering::Acquire) == ENDED {
            return Ok(());
        }
        let step = Step::begin(&self.stage)?;
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            self.waitable.forget(&waker);
        }
        self.waitable.cancelled();
        step.finish();
        Ok(())
    }

    fn step(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let step = Step::begin(&self.stage)?;
        let entry = enter();
        let result = match self.waitable.try_now(py) {
            Some(result) => {
                if self.waitable.defers() {
                    entry.defer(py);
                }
                result
            }
            None if self.waitable.is_making() => {
                if self.waitable.defers() {
                    entry.defer(py);
                }
                // A task takes this for `asyncio.sleep(0)`.
                return Ok(py.None());
            }
            None => {
                let event_loop = self.waitable.event_loop();
                let future = event_loop.create_future(py)?;
                let waker = FutureWaker::new(future.clone().unbind(), Arc::clone(event_loop));
                let waker = Waker::from(Arc::new(waker));
                match self.waitable.poll(py, &mut Context::from_waker(&waker)) {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        // As asyncio.Future.__await__ does.
                        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                        event_loop.starts().note_client(&future);
                        let before = lock(&self.waker).replace(waker);
                        drop(before); // outside the lock: it may own the last future
                        return Ok(future.unbind());
                    }
                }
            }
        };
        let waker = lock(&self.waker).take();
        drop(waker);
        step.finish();
        match result {
            Ok(value) => Err(PyStopIteration::new_err((value,))),
            Err(error) => Err(error),
        }
    }
}

#[pymethods]
impl Awaitable {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (*exception))]
    fn throw(&self, exception: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        self.cancel()?;
        Err(thrown(exception))
    }

    fn close(&self) -> PyResult<()> {
        self.cancel()
    }
}

/// An outcome that is known already.
pub(crate) struct Ready {
    outcome: PyResult<Py<PyAny>>,
    event_loop: Arc<EventLoop>,
}

impl Ready {
    /// `outcome`, for the exchange of `call`.
    pub(crate) fn new(outcome: PyResult<Py<PyAny>>, call: &Call) -> Self {
        Self {
            outcome,
            event_loop: Arc::clone(&call.calls.event_loop),
        }
    }

    fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.outcome {
            Ok(value) => Ok(value.clone_ref(py)),
            Err(error) => Err(error.clone_ref(py)),
        }
    }
}

impl Waitable for Ready {
    fn poll(&self, py: Python<'_>, _: &mut Context<'_>) -> Poll<PyResult<Py<PyAny>>> {
        Poll::Ready(self.outcome(py))
    }

    fn try_now(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        Some(self.outcome(py))
    }

    fn event_loop(&self) -> &Arc<EventLoop> {
        &self.event_loop
    }
}

/// The awaitable that is done already, with `None`.
#[pyclass(frozen, module = "granian._granian")]
pub(crate) struct Done;

/// The only `Done`.
pub(crate) fn done(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static DONE: PyOnceLock<Py<Done>> = PyOnceLock::new();
    Ok(DONE
        .get_or_try_init(py, || Py::new(py, Done))?
        .bind(py)
        .as_any()
        .clone())
}

#[pymethods]
impl Done {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }

    fn send(&self, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (*exception))]
    fn throw(&self, exception: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        Err(thrown(exception))
    }

    fn close(&self) {}
}

/// The awaitable of a call without effect, such as a message to a peer that has left. It gives the
/// loop one pass, since an application that only makes such calls would never give it back.
#[pyclass(frozen, module = "granian._granian")]
pub(crate) struct YieldOnce {
    is_over: AtomicBool,
}

/// A new `YieldOnce`.
pub(crate) fn yield_once(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let is_over = AtomicBool::new(false);
    Ok(Bound::new(py, YieldOnce { is_over })?.into_any())
}

#[pymethods]
impl YieldOnce {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.is_over.swap(true, Ordering::Relaxed) {
            // A task takes this for `asyncio.sleep(0)`.
            false => Ok(py.None()),
            true => Err(PyStopIteration::new_err(())),
        }
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (*exception))]
    fn throw(&self, exception: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        Err(thrown(exception))
    }

    fn close(&self) {}
}

/// The exception of `throw(type)`, `throw(value)` or `throw(type, value, traceback)`.
fn thrown(exception: &Bound<'_, PyTuple>) -> PyErr {
    let given = match exception.get_item(1) {
        Ok(value) if !value.is_none() => Ok(value),
        _ => exception.get_item(0),
    };
    given.map_or_else(|error| error, PyErr::from_value)
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const ENDED: u8 = 2;
