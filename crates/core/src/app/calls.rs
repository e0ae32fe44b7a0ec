//! `Calls`: what all calls of one worker's application share: the event loop, the tasks in flight,
//! and the Python functions that log.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use slab::Slab;

use super::access_log::AccessLog;
use super::forked::Home;
use super::routes::NamedRoutes;
use crate::options::{Options, WatchOptions};
use crate::python::EventLoop;
use crate::server_log::say;
use granian_net::close::{CloseCause, Limit};
use granian_net::exchange::Exchange;
use granian_net::exchange::app::{Address, Journal, Peer};
use granian_net::exchange::record::{Interest, Record};
use granian_net::exchange::spool::Spools;
use granian_net::metrics::Page;
use granian_net::runtime::waker::lock;

/// One per worker.
pub(crate) struct Calls {
    pub(crate) event_loop: Arc<EventLoop>,
    on_exception: Py<PyAny>,
    pub(crate) access_log: Option<AccessLog>,
    /// The server's log takes lines of level DEBUG, as the worker's start found it.
    logs_debug: bool,
    /// Tasks that have suspended; asyncio itself keeps weak references only. Application threads
    /// of WSGI meet the loop's thread here.
    tasks: Mutex<Tasks>,
    /// The calls in flight are being cancelled.
    cancels: AtomicBool,
    /// The process that they are to be answered in.
    pub(crate) home: Home,
    /// ASGI scopes offer to send files by their path.
    announces_files: AtomicBool,
    /// The ends of requests that calls are told of.
    pub(crate) watch: WatchOptions,
    /// Responses may name files in place of their bodies.
    pub(crate) hands_off: bool,
    pub(crate) spools: Spools,
    /// Where the application is mounted.
    pub(crate) root_path: String,
    /// Responses are counted by the routes that the application names.
    routes: Option<NamedRoutes>,
    /// The numbers of the worker.
    pub(super) page: Option<Arc<Page>>,
}

#[derive(Default)]
struct Tasks {
    running: Slab<Running>,
    /// Called once when nothing runs any more.
    on_empty: Option<Py<PyAny>>,
}

/// A call in flight.
struct Running {
    exchange: Arc<Exchange>,
    task: Option<Py<PyAny>>,
    /// The application names the route in it: a scope, or an environ.
    scope: Option<Py<PyAny>>,
}

impl Calls {
    /// # Errors
    /// The exception of `os.register_at_fork`.
    pub(crate) fn new(
        py: Python<'_>,
        options: &Options,
        event_loop: Arc<EventLoop>,
        page: Option<&Arc<Page>>,
    ) -> PyResult<Self> {
        let counts_routes = options.metrics.as_ref().is_some_and(|it| it.routes);
        let routes = page.filter(|_| counts_routes);
        let access_log = options.access_log.as_ref();
        Ok(Self {
            event_loop,
            on_exception: options.on_exception.clone_ref(py),
            access_log: access_log.map(AccessLog::new).transpose()?,
            logs_debug: logs_debug(py),
            tasks: Mutex::new(Tasks::default()),
            cancels: AtomicBool::new(false),
            home: Home::new(py)?,
            announces_files: AtomicBool::new(true),
            watch: options.watch(),
            hands_off: !options.sendfile_map.is_empty(),
            spools: options.spools(),
            root_path: options.url_path_prefix.clone(),
            routes: routes.map(|page| NamedRoutes::new(py, page)).transpose()?,
            page: page.cloned(),
        })
    }

    /// True while ASGI scopes offer to send files by their path.
    pub(crate) fn announces_files(&self) -> bool {
        self.announces_files.load(Ordering::Relaxed)
    }

    /// Ends that offer, as the application does not take it up in order.
    pub(crate) fn withdraw_files(&self, py: Python<'_>) {
        if self.announces_files.swap(false, Ordering::Relaxed) {
            self.inform(
                py,
                "A middleware does not pass on http.response.pathsend: files are sent as bodies from now on",
            );
        }
    }

    /// Counts one call of the application in; the key is for `leave`.
    pub(crate) fn enter(&self, exchange: &Arc<Exchange>) -> usize {
        let mut tasks = lock(&self.tasks);
        let entry = tasks.running.vacant_entry();
        let key = entry.key();
        exchange.list(key);
        entry.insert(Running {
            exchange: Arc::clone(exchange),
            task: None,
            scope: None,
        });
        key
    }

    /// The application of the call `key` may name its route in `scope`.
    pub(crate) fn note_scope(&self, key: usize, scope: &Bound<'_, PyAny>) {
        if self.routes.is_none() {
            return;
        }
        let scope = scope.clone().unbind();
        let former = match lock(&self.tasks).running.get_mut(key) {
            Some(running) => running.scope.replace(scope),
            None => Some(scope),
        };
        drop(former); // outside the lock
    }

    /// The number of the route of the call `key`; 0 if it has none, or nobody counts.
    pub(crate) fn route(&self, key: usize) -> u16 {
        let Some(routes) = &self.routes else { return 0 };
        Python::attach(|py| {
            let scope = {
                let tasks = lock(&self.tasks);
                let running = tasks.running.get(key);
                let scope = running.and_then(|running| running.scope.as_ref());
                scope.map(|scope| scope.clone_ref(py))
            };
            scope.map_or(0, |scope| routes.number(scope.bind(py)))
        })
    }

    /// The exchanges of the calls in flight.
    pub(crate) fn exchanges(&self) -> Vec<Arc<Exchange>> {
        let tasks = lock(&self.tasks);
        let running = tasks.running.iter().map(|(_, running)| running);
        running
            .map(|running| Arc::clone(&running.exchange))
            .collect()
    }

    /// The task that the call for `exchange` goes on as, if it has suspended.
    pub(crate) fn task_of(&self, py: Python<'_>, exchange: &Arc<Exchange>) -> Option<Py<PyAny>> {
        let tasks = lock(&self.tasks);
        let call = tasks.running.get(exchange.listed()?)?;
        // Its place may be another one's by now.
        let is_own = Arc::ptr_eq(&call.exchange, exchange);
        let task = call.task.as_ref().filter(|_| is_own);
        task.map(|task| task.clone_ref(py))
    }

    /// The call goes on as `task`. Nothing is kept if it has ended meanwhile.
    pub(crate) fn keep(&self, key: usize, task: Py<PyAny>) {
        if let Some(running) = lock(&self.tasks).running.get_mut(key) {
            running.task = Some(task);
        }
    }

    /// The call has ended.
    pub(crate) fn leave(&self, py: Python<'_>, key: usize) {
        let (task, on_empty) = {
            let mut tasks = lock(&self.tasks);
            let task = tasks.running.try_remove(key);
            let on_empty = if tasks.running.is_empty() {
                tasks.on_empty.take()
            } else {
                None
            };
            (task, on_empty)
        };
        drop(task);
        if let Some(on_empty) = on_empty {
            self.notify(py, &on_empty);
        }
    }

    /// Calls in flight.
    pub(crate) fn running(&self) -> usize {
        lock(&self.tasks).running.len()
    }

    /// Cancels every task in flight, as `asyncio.Task.cancel` does.
    pub(crate) fn cancel_tasks(&self, py: Python<'_>) {
        self.cancels.store(true, Ordering::Relaxed);
        let tasks: Vec<Py<PyAny>> = {
            let tasks = lock(&self.tasks);
            tasks
                .running
                .iter()
                .filter_map(|(_, running)| running.task.as_ref())
                .map(|task| task.clone_ref(py))
                .collect()
        };
        for task in tasks {
            if let Err(error) = task.call_method0(py, intern!(py, "cancel")) {
                self.report(py, error);
            }
        }
    }

    /// Cancels the task of one call, if it has one, once the present turn is over.
    pub(crate) fn cancel_soon(&self, py: Python<'_>, key: usize) {
        let task = {
            let tasks = lock(&self.tasks);
            let running = tasks.running.get(key);
            let task = running.and_then(|running| running.task.as_ref());
            task.map(|task| task.clone_ref(py))
        };
        let Some(task) = task else { return };
        let asked = task
            .getattr(py, intern!(py, "cancel"))
            .and_then(|cancel| self.event_loop.call_soon(py, cancel));
        if let Err(error) = asked {
            self.report(py, error);
        }
    }

    /// True once the calls in flight were cancelled.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.cancels.load(Ordering::Relaxed)
    }

    /// Hands an exception of the application's to the log.
    pub(crate) fn report(&self, py: Python<'_>, error: PyErr) {
        if let Err(failure) = self.on_exception.call1(py, (error.into_value(py),)) {
            failure.write_unraisable(py, None);
        }
    }

    /// Says something at level INFO of the server's log.
    pub(crate) fn inform(&self, py: Python<'_>, message: &str) {
        say(py, "info", message);
    }

    /// Says something at level WARNING of the server's log.
    pub(crate) fn warn(&self, py: Python<'_>, message: &str) {
        say(py, "warning", message);
    }

    /// Says something that may be said for every request: at level WARNING once, at DEBUG from then on.
    pub(crate) fn explain(&self, py: Python<'_>, told: &AtomicBool, message: &str) {
        let level = if told.swap(true, Ordering::Relaxed) {
            "debug"
        } else {
            "warning"
        };
        say(py, level, message);
    }

    /// Says something from the thread of a connection: at once, or by the loop's thread.
    fn tell(&self, level: &'static str, message: String) {
        match self.event_loop.errands_elsewhere() {
            Some(errands) => errands.say(level, message),
            None => Python::attach(|py| say(py, level, &message)),
        }
    }

    /// Calls `callback` when no call is in flight, at once if none is.
    pub(crate) fn when_empty(&self, py: Python<'_>, callback: Py<PyAny>) {
        let empty = {
            let mut tasks = lock(&self.tasks);
            let empty = tasks.running.is_empty();
            if !empty {
                tasks.on_empty = Some(callback.clone_ref(py));
            }
            empty
        };
        if empty {
            self.notify(py, &callback);
        }
    }

    /// Calls it once more if it fails: a signal handler of the application's may have raised there.
    fn notify(&self, py: Python<'_>, callback: &Py<PyAny>) {
        for _ in 0..2 {
            match callback.call0(py) {
                Ok(_) => return,
                Err(error) => self.report(py, error),
            }
        }
    }
}

impl Journal for Calls {
    fn interest(&self) -> Option<Interest> {
        self.access_log.as_ref().map(AccessLog::interest)
    }

    /// Writes a line of the access log.
    fn answered(&self, record: &Record<'_>) {
        if let Some(access_log) = &self.access_log {
            access_log.write(record);
        }
    }

    /// At level WARNING: the application or the map is wrong.
    fn unsent(&self, name: &str) {
        let message = format!("No file to send for {name}");
        self.tell("warning", message);
    }

    /// At level DEBUG: anyone can make as many as they like.
    fn handshake_failed(&self, peer: &Peer, error: &io::Error) {
        let message = match &peer.remote {
            Address::Ip(addr) => format!("TLS handshake with {addr} failed: {error}"),
            Address::Unix(_) => format!("TLS handshake failed: {error}"),
        };
        self.tell("debug", message);
    }

    /// At level DEBUG, which is seldom on: nothing of Python's is called where it is not.
    fn closed(&self, peer: &Peer, cause: CloseCause) {
        // A failed handshake has had its line.
        if !self.logs_debug || cause == CloseCause::HandshakeFailed {
            return;
        }
        let message = match &peer.remote {
            Address::Ip(addr) => format!("Connection from {addr} closed: {cause}"),
            Address::Unix(_) => format!("Connection closed: {cause}"),
        };
        self.tell("debug", message);
    }

    /// At level DEBUG: anyone can make as many as they like.
    fn limited(&self, peer: &Peer, limit: Limit) {
        if !self.logs_debug {
            return;
        }
        let message = match &peer.remote {
            Address::Ip(addr) => format!("{addr} has reached the limit of {limit}"),
            Address::Unix(_) => format!("A client has reached the limit of {limit}"),
        };
        self.tell("debug", message);
    }

    /// At level WARNING.
    fn proxy_refused(&self, peer: &Peer, reason: &str) {
        let message = match &peer.remote {
            Address::Ip(addr) => {
                format!("Connection from {addr} refused (proxy_protocol): {reason}")
            }
            Address::Unix(_) => format!("Connection refused (proxy_protocol): {reason}"),
        };
        self.tell("warning", message);
    }

    /// At level ERROR.
    fn unspooled(&self, folder: &Path, error: &io::Error) {
        let message = format!(
            "Cannot keep a request's body in the temporary folder {}: {error}. Set TMPDIR to a writable folder with room",
            folder.display()
        );
        self.tell("error", message);
    }

    /// At level WARNING.
    fn accept_failed(&self, error: &io::Error) {
        let message = format!("Cannot accept connections for now: {error}");
        self.tell("warning", message);
    }
}

/// True if the server's log takes lines of level DEBUG.
fn logs_debug(py: Python<'_>) -> bool {
    let asked = || -> PyResult<bool> {
        let logger = py.import("granian.log")?.getattr("logger")?;
        logger
            .call_method1("isEnabledFor", (DEBUG,))?
            .extract::<bool>()
    };
    asked().unwrap_or(false)
}

/// `logging.DEBUG`.
const DEBUG: u32 = 10;
