//! `Worker`: one event loop's server, as Python sees it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::app::access_log::{AccessLog, duplicate};
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
use crate::responders::behind_responders;
use crate::role::Role;
use granian_net::exchange::app::App;
use granian_net::limits::Limits;
use granian_net::listener::{Listener, Listening, listen};
use granian_net::metrics::{Metrics, Page, ticker};
use granian_net::proxies::Proxies;
use granian_net::responders::health::Health;
use granian_net::responders::redirect::Redirect;
use granian_net::runtime::reactor::Reactor;
use granian_net::service::{AfterDrain, Service, Stage};
use granian_net::tls::config::TlsConfig;

/// Owns listeners, connections and exchanges; lives on its event loop's thread.
#[pyclass(unsendable, module = "granian._granian")]
pub(crate) struct Worker {
    reactor: Reactor,
    driver: Rc<Driver>,
    service: Rc<Service>,
    /// The services of listeners in other roles than the application's.
    others: RefCell<Vec<(Role, Rc<Service>)>>,
    /// By the descriptors that they were given as.
    listening: RefCell<Vec<(RawFd, Listening)>>,
    calls: Arc<Calls>,
    limits: Limits,
    metrics: Option<Rc<Metrics>>,
    /// The answer to who asks whether it is.
    is_ready: Rc<Cell<bool>>,
    proxies: Option<Rc<Proxies>>,
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
        let options: Options = options.extract()?;
        let reactor = Reactor::new()?;
        let event_loop = Arc::new(EventLoop::new(r#loop)?);
        let metrics = options.metrics.as_ref();
        let metrics = metrics.map(MetricsOptions::open).transpose()?;
        let page = metrics.as_ref().map(|metrics| metrics.page());
        let calls = Calls::new(py, &options, Arc::clone(&event_loop), page)?;
        let calls = Arc::new(calls);
        let app = interface(app, &options, &calls, &reactor, page)?;
        let app = behind_responders(app, &options, &reactor, page)?;
        let is_ready = Rc::new(Cell::new(true));
        let app = match &options.health_path {
            Some(path) => Rc::new(Health::new(path, Rc::clone(&is_ready), app)),
            None => app,
        };
        let limits = Limits {
            mechanisms: mechanisms(py)?,
            ..options.limits()
        };
        let proxies = options.proxies.as_ref().map(|it| it.load()).transpose()?;
        let service = Service::new(app, limits).measured(metrics.clone());
        let service = service.naming(options.request_id_header.as_deref());
        let service = Rc::new(service.behind(proxies.clone()));
        if let Some(tls) = options.tls {
            service.set_tls(Arc::new(tls.load(py)?));
        }
        patrol_queue(&reactor, &service)?;
        if let Some(metrics) = &metrics {
            ticker::start(&reactor, Rc::clone(metrics))?;
        }
        // Last of all: the thread keeps it until it is closed.
        let driver = Driver::new(reactor.clone(), event_loop);
        let worker = Self {
            reactor,
            driver: Rc::clone(&driver),
            service,
            others: RefCell::default(),
            listening: RefCell::default(),
            limits,
            metrics,
            is_ready,
            proxies,
            calls,
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
        self.driver.turn(py, || self.service.app.gathers());
        self.service.app.end_turn();
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
    fn listen(&self, fd: RawFd, role: &str, secured_port: Option<u16>) -> PyResult<()> {
        let service = self.service_of(Role::new(role, secured_port)?);
        let listener = listener(duplicate(fd)?)?;
        let listening = listen(&self.reactor, listener, service)?;
        self.listening.borrow_mut().push((fd, listening));
        Ok(())
    }

    /// Accepts no more on the socket that was given with this descriptor; its connections go on,
    /// and what waits in its queue is left to whoever else has it.
    fn unlisten(&self, py: Python<'_>, fd: RawFd) {
        let mut listening = self.listening.borrow_mut();
        let ended = listening.extract_if(.., |(given, _)| *given == fd);
        ended.for_each(|(_, listening)| listening.end());
        drop(listening);
        self.turn(py);
    }

    /// Secures the connections that are accepted from now on with what was loaded; those that are
    /// open keep what they have.
    fn set_tls(&self, loaded: &Bound<'_, LoadedTls>) {
        self.service.set_tls(Arc::clone(&loaded.get().0));
    }

    /// Says on the health path whether it is ready from now on; it serves either way.
    fn set_ready(&self, is_ready: bool) {
        self.is_ready.set(is_ready);
    }

    /// Stops accepting, closes idle connections and lets the others finish; `on_drained` is called
    /// once, when no connection and no call of the application is left. Websockets are told if
    /// another worker is there already.
    #[pyo3(signature = (on_drained, is_replaced = false))]
    fn drain(slf: &Bound<'_, Self>, on_drained: Py<PyAny>, is_replaced: bool) {
        let py = slf.py();
        let this = slf.borrow();
        this.is_ready.set(false);
        let before = this.on_drained.replace(Some(on_drained));
        drop(before); // outside the borrow: it may run Python code
        let now = std::time::Instant::now();
        let after_drain = if is_replaced {
            AfterDrain::Restart
        } else {
            AfterDrain::Nothing
        };
        this.services()
            .iter()
            .for_each(|service| service.drain(now, after_drain));
        this.reactor.wake_all();
        this.turn(py);
    }

    /// Ends the drain: applications see their peers leave, tasks are cancelled, connections cut.
    fn cancel(&self, py: Python<'_>) {
        for service in self.services() {
            service.stage.set(Stage::Cancelled);
        }
        self.reactor.wake_all();
        self.turn(py);
        self.calls.cancel_tasks(py);
    }

    /// Drops everything at once; the descriptor is closed with the worker.
    fn close(&self, py: Python<'_>) {
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
        InFlight::new(Arc::clone(&self.service.flights), Arc::clone(&self.calls))
    }

    /// Open connections.
    #[getter]
    fn connections(&self) -> usize {
        let services = self.services();
        services.iter().map(|service| service.connections()).sum()
    }

    /// Calls of the application in flight.
    #[getter]
    fn requests(&self) -> usize {
        self.calls.running()
    }

    /// Responses that have left.
    #[getter]
    fn handled(&self) -> u64 {
        self.service.handled.get()
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
    fn services(&self) -> Vec<Rc<Service>> {
        let others = self.others.borrow();
        let others = others.iter().map(|(_, service)| service);
        [&self.service].into_iter().chain(others).cloned().collect()
    }

    /// The service of this role; one for all of its listeners.
    fn service_of(&self, role: Role) -> Rc<Service> {
        let app: Rc<dyn App> = match role {
            Role::App => return Rc::clone(&self.service),
            Role::Redirect { secured_port } => {
                let journal = Arc::clone(&self.calls);
                Rc::new(Redirect::new(secured_port, journal))
            }
        };
        let mut others = self.others.borrow_mut();
        if let Some((_, service)) = others.iter().find(|(other, _)| *other == role) {
            return Rc::clone(service);
        }
        let limits = Limits {
            has_gil: false,
            ..self.limits
        };
        let is_public = matches!(role, Role::Redirect { .. });
        let proxies = self.proxies.clone().filter(|_| is_public);
        let service = Service::new(app, limits).measured(self.metrics.clone());
        let service = Rc::new(service.behind(proxies));
        others.push((role, Rc::clone(&service)));
        service
    }

    fn check_drained(&self, py: Python<'_>) {
        if self.service.stage.get() == Stage::Serving || self.connections() > 0 {
            return;
        }
        let callback = self.on_drained.borrow_mut().take();
        if let Some(callback) = callback {
            self.calls.when_empty(py, callback);
        }
    }
}

/// Starts the task that looks after the requests that wait to start.
fn patrol_queue(reactor: &Reactor, service: &Rc<Service>) -> std::io::Result<()> {
    let service = Rc::clone(service);
    reactor.spawn(|handle| {
        Ok(poll_fn(move |cx| {
            handle.set_deadline(service.queue.patrol(cx, handle.now()));
            Poll::<()>::Pending
        }))
    })
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

fn listener(fd: OwnedFd) -> PyResult<Listener> {
    match rustix::net::sockopt::socket_domain(&fd).map_err(std::io::Error::from)? {
        rustix::net::AddressFamily::UNIX => {
            let socket = std::os::unix::net::UnixListener::from(fd);
            socket.set_nonblocking(true)?;
            Ok(Listener::Unix(mio::net::UnixListener::from_std(socket)))
        }
        rustix::net::AddressFamily::INET | rustix::net::AddressFamily::INET6 => {
            let socket = std::net::TcpListener::from(fd);
            socket.set_nonblocking(true)?;
            Ok(Listener::Tcp(mio::net::TcpListener::from_std(socket)))
        }
        _ => Err(PyRuntimeError::new_err("neither a TCP nor a Unix socket")),
    }
}
