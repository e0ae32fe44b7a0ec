//! `Worker`: one event loop's server, as Python sees it.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use crate::app::access_log::AccessLog;
use crate::app::access_records::Taker;
use crate::app::asgi::Asgi;
use crate::app::calls::Calls;
use crate::app::coroutines::Coroutines;
use crate::app::in_flight::InFlight;
use crate::app::rsgi::Rsgi;
use crate::app::wsgi::Wsgi;
use crate::mechanisms::mechanisms;
use crate::options::{Interface, MetricsOptions, Options, Tls, configuration_error};
use crate::python::{Driver, EventLoop};
use crate::sites::{Plan, Sites};
use granian_net::exchange::app::App;
use granian_net::limits::Limits;
use granian_net::metrics::{Page, ticker};
use granian_net::placement::site::Site;
use granian_net::runtime::reactor::Reactor;
use granian_net::service::AfterDrain;
use granian_net::tls::config::TlsConfig;

/// Owns listeners, connections and exchanges; lives on its event loop's thread.
#[pyclass(unsendable, module = "granian._granian")]
pub(crate) struct Worker {
    reactor: Reactor,
    driver: Rc<Driver>,
    sites: Sites,
    calls: Arc<Calls>,
    is_draining: Cell<bool>,
    /// Called when the last connection has closed and the last call has ended.
    on_drained: RefCell<Option<Py<PyAny>>>,
}

#[pymethods]
impl Worker {
    #[new]
    fn new(
        app: Bound<'_, PyAny>,
        options: &Bound<'_, PyAny>,
        r#loop: &Bound<'_, PyAny>,
    ) -> PyResult<Py<Self>> {
        let py = app.py();
        let mut options: Options = options.extract()?;
        let reactor = Reactor::new()?;
        let event_loop = Arc::new(EventLoop::new(r#loop)?);
        let metrics = options.metrics.as_ref();
        let metrics = metrics.map(MetricsOptions::open).transpose()?;
        let page = metrics.as_ref().map(|metrics| Arc::clone(metrics.page()));
        let calls = Calls::new(py, &options, Arc::clone(&event_loop), page.as_ref())?;
        let calls = Arc::new(calls);
        let app = interface(app, &options, &calls, &reactor, page.as_ref())?;
        let tls = options.tls.take().map(|tls| tls.load(py)).transpose()?;
        let plan = Plan {
            limits: Limits {
                mechanisms: mechanisms(py)?,
                ..options.limits()
            },
            tls: tls.map(Arc::new),
            options,
            page,
            calls: Arc::clone(&calls),
        };
        let sites = Sites::new(plan, app, &reactor, metrics.clone())?;
        if let Some(metrics) = &metrics {
            ticker::start(&reactor, Rc::clone(metrics))?;
        }
        // Last of all: the thread keeps it until it is closed.
        let driver = Driver::new(reactor.clone(), event_loop);
        let worker = Self {
            reactor,
            driver: Rc::clone(&driver),
            sites,
            calls,
            is_draining: Cell::new(false),
            on_drained: RefCell::new(None),
        };
        let worker = Py::new(py, worker)?;
        driver.set_turn(worker.getattr(py, intern!(py, "turn"))?);
        Ok(worker)
    }

    /// The poller's descriptor: `loop.add_reader(worker.fileno(), worker.turn)`.
    fn fileno(&self) -> RawFd {
        self.reactor.descriptor()
    }

    /// Handles what the poller has, once.
    fn turn(&self, py: Python<'_>) {
        self.driver.turn(py, || self.sites.gathers());
        self.sites.end_turn();
        self.check_drained(py);
    }

    /// Sets the function that the loop is asked to call instead of `turn`, for deadlines and for
    /// tasks that application code has woken. The function calls `turn`.
    fn set_turn(&self, turn: Py<PyAny>) {
        self.driver.set_turn(turn);
    }

    /// Accepts on a listening, non-blocking socket, whose descriptor is duplicated, in a role:
    /// `app` serves the application, `redirect` sends every request in plain to `secured_port` of
    /// the same host over `https`.
    ///
    /// # Errors
    /// `OSError` if it is no such socket, `ValueError` for another role, or for `redirect` without
    /// a port.
    #[pyo3(signature = (fd, role = "app", secured_port = None))]
    fn listen(
        &self,
        py: Python<'_>,
        fd: RawFd,
        role: &str,
        secured_port: Option<u16>,
    ) -> PyResult<()> {
        self.sites
            .listen(py, fd, crate::role::role(role, secured_port)?)
    }

    /// Accepts no more on the socket that was given with this descriptor; its connections go on,
    /// and what waits in its queue is left to whoever else has it.
    fn unlisten(&self, py: Python<'_>, fd: RawFd) {
        self.sites.each(py, move |site| site.unlisten(fd));
        self.turn(py);
    }

    /// Secures the connections that are accepted from now on with what was loaded; those that are
    /// open keep what they have.
    fn set_tls(&self, loaded: &Bound<'_, LoadedTls>) {
        let config = Arc::clone(&loaded.get().0);
        self.sites
            .each(loaded.py(), move |site| site.set_tls(Arc::clone(&config)));
    }

    /// Says on the health path whether it is ready from now on; it serves either way.
    fn set_ready(&self, py: Python<'_>, is_ready: bool) {
        self.sites.each(py, move |site| site.set_ready(is_ready));
    }

    /// Stops accepting, closes idle connections and lets the others finish; `on_drained` is called
    /// once, when no connection and no call of the application is left. Websockets are told if
    /// another worker is there already.
    #[pyo3(signature = (on_drained, is_replaced = false))]
    fn drain(slf: &Bound<'_, Self>, on_drained: Py<PyAny>, is_replaced: bool) {
        let py = slf.py();
        let this = slf.borrow();
        let before = this.on_drained.replace(Some(on_drained));
        drop(before); // outside the borrow: it may run Python code
        let after_drain = if is_replaced {
            AfterDrain::Restart
        } else {
            AfterDrain::Nothing
        };
        this.is_draining.set(true);
        this.sites.each(py, move |site| site.drain(after_drain));
        this.turn(py);
    }

    /// Ends the drain: applications see their peers leave, tasks are cancelled, connections cut.
    fn cancel(&self, py: Python<'_>) {
        self.sites.each(py, Site::cancel);
        self.turn(py);
        self.calls.cancel_tasks(py);
    }

    /// Drops everything at once; the descriptor is closed with the worker.
    fn close(&self, py: Python<'_>) {
        if self.sites.end_threads(py) {
            self.driver.turn(py, || false);
        }
        self.driver.close();
        if let Some(access_log) = &self.calls.access_log {
            py.detach(|| access_log.flush());
        }
    }

    /// Opens the access log's file anew under its name.
    ///
    /// # Errors
    /// `OSError` when that fails. Lines go on into the old one.
    fn reopen_access_log(&self) -> PyResult<()> {
        Ok(self
            .calls
            .access_log
            .as_ref()
            .map_or(Ok(()), AccessLog::reopen)?)
    }

    /// The records of answers for Python's handlers, if the access log goes to them.
    #[getter]
    fn access_records(&self) -> Option<Taker> {
        self.calls.access_log.as_ref()?.records().map(Taker)
    }

    /// The requests in flight, for any thread.
    #[getter]
    fn in_flight(&self) -> InFlight {
        let flights = Arc::clone(&self.sites.common().app.flights);
        InFlight::new(flights, Arc::clone(&self.calls))
    }

    /// Open connections.
    #[getter]
    fn connections(&self) -> usize {
        self.sites.common().connections()
    }

    /// Calls of the application in flight.
    #[getter]
    fn requests(&self) -> usize {
        self.calls.running()
    }

    /// Responses that have left.
    #[getter]
    fn handled(&self) -> u64 {
        self.sites.handled()
    }

    /// Has a turn run once so many responses have left.
    fn tell_after(&self, handled: u64) {
        self.sites.tell_after(handled);
    }
}

/// Reads and checks what a `granian.config.TlsOptions` names.
///
/// # Errors
/// `ConfigurationError` for the first option that is wrong.
#[pyfunction]
pub(crate) fn check_tls(py: Python<'_>, options: Tls) -> PyResult<()> {
    let loaded = options.load(py)?;
    loaded
        .check_dates()
        .map_err(|error| configuration_error(py, &error))
}

/// The result of `load_tls`, for any worker.
#[pyclass(frozen, module = "granian._granian")]
pub(crate) struct LoadedTls(Arc<TlsConfig>);

/// Reads what a `granian.config.TlsOptions` names. For threads that nobody waits for: to open an
/// encrypted key takes a moment.
///
/// # Errors
/// `ConfigurationError` for the first option that is wrong.
#[pyfunction]
pub(crate) fn load_tls(py: Python<'_>, options: Tls) -> PyResult<LoadedTls> {
    Ok(LoadedTls(Arc::new(options.load(py)?)))
}

impl Worker {
    fn check_drained(&self, py: Python<'_>) {
        if !self.is_draining.get() || !self.sites.are_empty() {
            return;
        }
        let callback = self.on_drained.borrow_mut().take();
        if let Some(callback) = callback {
            self.calls.when_empty(py, callback);
        }
    }
}

fn interface(
    app: Bound<'_, PyAny>,
    options: &Options,
    calls: &Arc<Calls>,
    reactor: &Reactor,
    page: Option<&Arc<Page>>,
) -> PyResult<Rc<dyn App>> {
    let (calls, reactor) = (Arc::clone(calls), reactor.clone());
    Ok(match options.interface {
        Interface::Asgi => {
            let asgi = Asgi::new(app.py(), options)?;
            Rc::new(Coroutines::new(app, asgi, calls, reactor))
        }
        Interface::Rsgi => {
            let rsgi = Rsgi::new(options.url_path_prefix.clone());
            Rc::new(Coroutines::new(app, rsgi, calls, reactor))
        }
        Interface::Wsgi => Rc::new(Wsgi::new(app, options, calls, reactor, page)?),
    })
}
