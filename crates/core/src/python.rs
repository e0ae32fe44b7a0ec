//! `Driver`: the reactor's place on a Python event loop. Turns run as the loop's reader callback,
//! deadlines as one `call_later`. `EventLoop` has the parts of the loop that others use.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Wake;
use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errands::Errands;
use crate::starts::Starts;
use granian_net::runtime::reactor::Reactor;
use granian_net::runtime::waker::{lock, thread_token};

/// The parts of an event loop that any thread may hold.
pub(crate) struct EventLoop {
    object: Py<PyAny>,
    call_soon: Py<PyAny>,
    call_soon_threadsafe: Py<PyAny>,
    call_later: Py<PyAny>,
    create_future: Py<PyAny>,
    resolve: Py<PyAny>,
    starts: Starts,
    /// The context that turns run in. A turn that an application's task asks for would otherwise
    /// inherit that task's context and hand it on to the requests that it starts.
    context: Py<PyAny>,
    home: usize,
    /// For threads of connections, if they are not the loop's own.
    errands: OnceLock<Arc<Errands>>,
}

impl EventLoop {
    /// Looks up the methods of `object`, the calling thread's event loop.
    ///
    /// # Errors
    /// `AttributeError` if it is no event loop.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        Ok(Self {
            object: object.clone().unbind(),
            call_soon: object.getattr("call_soon")?.unbind(),
            call_soon_threadsafe: object.getattr("call_soon_threadsafe")?.unbind(),
            call_later: object.getattr("call_later")?.unbind(),
            create_future: object.getattr("create_future")?.unbind(),
            resolve: pyo3::wrap_pyfunction!(resolve, py)?.into_any().unbind(),
            starts: Starts::new(object)?,
            context: py
                .import("contextvars")?
                .call_method0("copy_context")?
                .unbind(),
            home: thread_token(),
            errands: OnceLock::new(),
        })
    }

    /// The loop itself.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// Threads of connections leave to `errands` what needs the interpreter.
    pub(crate) fn set_errands(&self, errands: Arc<Errands>) {
        // A worker is made once.
        let _ = self.errands.set(errands);
    }

    /// The errands to leave work to: those of a loop whose connections have threads of their own, on any other thread
    /// than the loop's.
    pub(crate) fn errands_elsewhere(&self) -> Option<&Arc<Errands>> {
        self.errands.get().filter(|_| self.home != thread_token())
    }

    /// How requests start.
    pub(crate) fn starts(&self) -> &Starts {
        &self.starts
    }

    /// The loop's thread, see `thread_token`.
    pub(crate) fn home(&self) -> usize {
        self.home
    }

    /// A new future of this loop.
    ///
    /// # Errors
    /// The exception of `create_future`.
    pub(crate) fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.create_future.bind(py).call0()
    }

    /// Calls one of the loop's `call_*` methods for a callback in the server's own context.
    fn plan<'py>(
        &self,
        py: Python<'py>,
        method: &Py<PyAny>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), &self.context)?;
        method.bind(py).call(arguments, Some(&keywords))
    }

    /// Has the loop call `callback` without arguments, from its own thread.
    ///
    /// # Errors
    /// The exception of `call_soon`.
    pub(crate) fn call_soon(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
        self.plan(py, &self.call_soon, (callback,)).map(drop)
    }
}

/// Resolves `future` unless it is done already, for instance cancelled.
#[pyfunction]
fn resolve(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        future.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// Resolves an `asyncio.Future` when woken, from any thread.
pub(crate) struct FutureWaker {
    /// The future; the first wake-up takes it, from whichever thread.
    future: Mutex<Option<Py<PyAny>>>,
    event_loop: Arc<EventLoop>,
}

impl FutureWaker {
    pub(crate) fn new(future: Py<PyAny>, event_loop: Arc<EventLoop>) -> Self {
        Self {
            future: Mutex::new(Some(future)),
            event_loop,
        }
    }
}

impl Wake for FutureWaker {
    fn wake(self: Arc<Self>) {
        let Some(future) = lock(&self.future).take() else {
            return;
        };
        let is_home = self.event_loop.home == thread_token();
        if !is_home && let Some(errands) = self.event_loop.errands.get() {
            return errands.add(Box::new(move |py| report(py, resolve(future.bind(py)))));
        }
        Python::attach(|py| {
            let future = future.bind(py);
            let result = if is_home {
                resolve(future)
            } else {
                let arguments = (self.event_loop.resolve.bind(py), future);
                self.event_loop
                    .call_soon_threadsafe
                    .bind(py)
                    .call1(arguments)
                    .map(drop)
            };
            report(py, result);
        });
    }
}

/// A reactor driven by an event loop; lives on that loop's thread.
pub(crate) struct Driver {
    reactor: Reactor,
    event_loop: Arc<EventLoop>,
    /// `Worker.turn`, as the loop calls it.
    turn: RefCell<Option<Py<PyAny>>>,
    /// The turn that the loop was asked for, until the next one runs.
    planned: RefCell<Option<Py<PyAny>>>,
    /// The time since which Python code has been served without a turn in between. Code that always
    /// finds something to do would never give the loop back.
    served_since: Cell<Option<Instant>>,
    alarm: RefCell<Option<Alarm>>,
}

impl Driver {
    /// Drives `reactor` from `event_loop`; Python code on this thread finds it from now on.
    pub(crate) fn new(reactor: Reactor, event_loop: Arc<EventLoop>) -> Rc<Self> {
        let driver = Rc::new(Self {
            reactor,
            event_loop,
            turn: RefCell::new(None),
            planned: RefCell::new(None),
            served_since: Cell::new(None),
            alarm: RefCell::new(None),
        });
        DRIVERS.with_borrow_mut(|drivers| drivers.push(Rc::clone(&driver)));
        driver
    }

    /// Sets the function that the loop calls for a turn.
    pub(crate) fn set_turn(&self, turn: Py<PyAny>) {
        *self.turn.borrow_mut() = Some(turn);
    }

    /// Forgets the loop: no further turn is asked for.
    pub(crate) fn close(self: &Rc<Self>) {
        DRIVERS.with_borrow_mut(|drivers| drivers.retain(|driver| !Rc::ptr_eq(driver, self)));
        let turn = self.turn.borrow_mut().take();
        let alarm = self.alarm.take().map(|alarm| alarm.handle);
        let handles = [self.planned.take(), alarm];
        Python::attach(|py| handles.into_iter().for_each(|handle| cancel(py, handle)));
        drop(turn);
        self.reactor.clear();
    }

    /// One turn of the reactor.
    pub(crate) fn turn(&self, py: Python<'_>, gathers: impl Fn() -> bool) {
        // The loop may call for the poller or the alarm while a turn is planned. If that stayed, there would be one
        // more from each such call on, and the tasks of the loop would run between all of them only.
        cancel(py, self.planned.take());
        self.served_since.set(None);
        let more = self.reactor.turn_while(gathers);
        self.plan(py, more);
    }

    /// False if Python code has been served for `MOST_SERVED`: the tasks that it wakes then wait
    /// for a turn.
    fn is_patient(&self) -> bool {
        self.served_since
            .get()
            .is_none_or(|since| since.elapsed() < MOST_SERVED)
    }

    /// Asks the loop for a turn soon, if there is anything to do.
    fn schedule(&self, py: Python<'_>) {
        let turn = self.turn.borrow().as_ref().map(|turn| turn.clone_ref(py));
        if let Some(turn) = turn
            && self.reactor.mailbox().has_mail()
        {
            self.ask_for(py, &turn);
        }
    }

    /// Asks the loop for a turn soon, unless it was.
    fn ask_for(&self, py: Python<'_>, turn: &Py<PyAny>) {
        if self.planned.borrow().is_some() {
            return;
        }
        // `plan` uses the server's context, not that of the calling task.
        let event_loop = &self.event_loop;
        let planned = event_loop.plan(py, &event_loop.call_soon, (turn,));
        let keep = |handle: Bound<'_, PyAny>| self.planned.replace(Some(handle.unbind()));
        report(py, planned.map(keep));
    }

    /// Ends a [`PythonEntry`]. The order matters: if Python code ran after the last look at the
    /// mailbox and before `attend(false)`, its wake-up would be queued without a signal, and lost.
    fn settle(&self, py: Python<'_>) {
        if self.reactor.mailbox().has_mail() {
            let since = self.served_since.get().unwrap_or_else(Instant::now);
            self.served_since.set(Some(since));
            let more = self.reactor.settle();
            self.plan(py, more);
        } else {
            self.reactor.mailbox().set_polled(false);
        }
    }

    /// Asks the loop for the next turn: soon if there is `more` to do, else at the next deadline.
    fn plan(&self, py: Python<'_>, more: bool) {
        let turn = self.turn.borrow().as_ref().map(|turn| turn.clone_ref(py));
        let Some(turn) = turn else { return };
        if more {
            self.ask_for(py, &turn);
        }
        let Some(next) = self.reactor.next_deadline() else {
            return;
        };
        let now = Instant::now();
        // Loops ring up to a millisecond early (uvloop's clock has that grain). An alarm that is
        // about to ring counts as rung, or the deadline would be left without one.
        if self
            .alarm
            .borrow()
            .as_ref()
            .is_some_and(|alarm| now + ALARM_STEP < alarm.at && alarm.at <= next)
        {
            return;
        }
        let at = next.max(now + 2 * ALARM_STEP);
        let delay = (at - now).as_secs_f64();
        match self
            .event_loop
            .plan(py, &self.event_loop.call_later, (delay, turn))
        {
            Ok(handle) => {
                let handle = handle.unbind();
                let replaced = self.alarm.replace(Some(Alarm { at, handle }));
                cancel(py, replaced.map(|alarm| alarm.handle));
            }
            Err(error) => report::<()>(py, Err(error)),
        }
    }
}

/// A turn that the loop was asked for, and its time.
struct Alarm {
    at: Instant,
    handle: Py<PyAny>,
}

/// The loop forgets a turn that it was asked for, and with it the worker that it would call.
fn cancel(py: Python<'_>, handle: Option<Py<PyAny>>) {
    if let Some(handle) = handle {
        report(py, handle.call_method0(py, intern!(py, "cancel")));
    }
}

/// Until it is dropped, wake-ups from Python code on an event loop's thread cost no system call.
/// The drop runs the woken tasks, which may read and write sockets. It does nothing while a turn
/// runs, or when the last turn is long ago.
pub(crate) struct PythonEntry {
    driver: Option<Rc<Driver>>,
}

/// Call this first in each function that Python code calls; see [`PythonEntry`].
pub(crate) fn enter() -> PythonEntry {
    let driver = DRIVERS.with_borrow(|drivers| match drivers.as_slice() {
        [driver]
            if !driver.reactor.is_in_turn()
                && driver.is_patient()
                && !driver.reactor.mailbox().set_polled(true) =>
        {
            Some(Rc::clone(driver))
        }
        // Without a loop on this thread, or with several, wake-ups go through the poller.
        _ => None,
    });
    PythonEntry { driver }
}

impl PythonEntry {
    /// Lets the woken tasks run when Python code gives the loop back, not at the drop: more tasks
    /// are woken by then, and run together.
    pub(crate) fn defer(mut self, py: Python<'_>) {
        if let Some(driver) = self.driver.take() {
            driver.reactor.mailbox().set_polled(false);
            driver.schedule(py);
        }
    }
}

impl Drop for PythonEntry {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            Python::attach(|py| driver.settle(py));
        }
    }
}

/// Reports the error of a call into Python whose failure ends nothing.
fn report<T>(py: Python<'_>, result: PyResult<T>) {
    if let Err(error) = result
        && !error.is_instance_of::<PyRuntimeError>(py)
    {
        // A RuntimeError means that the loop is closed, and needs no turn.
        error.write_unraisable(py, None);
    }
}

thread_local! {
    static DRIVERS: RefCell<Vec<Rc<Driver>>> = const { RefCell::new(Vec::new()) };
}

const MOST_SERVED: std::time::Duration = std::time::Duration::from_millis(5);
/// Least time between two alarms; a loop's own timers have about this grain.
const ALARM_STEP: std::time::Duration = std::time::Duration::from_millis(5);
