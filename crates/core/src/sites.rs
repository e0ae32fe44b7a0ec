//! `Sites`: the threads that a worker's connections live on, as its options ask for them: the event loop's own, or I/O
//! threads (`--runtime-mode mt`).

use std::cell::{Cell, RefCell};
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::app::access_log::duplicate;
use crate::app::calls::Calls;
use crate::app::wsgi::{body_wish, has_pool};
use crate::errands::Errands;
use crate::options::{Interface, Options};
use crate::responders::behind_responders;
use granian_net::exchange::app::{App, BodyWish};
use granian_net::limits::Limits;
use granian_net::listener::Listener;
use granian_net::metrics::{Metrics, Page};
use granian_net::placement::hand_over::{AppTraits, HandOver, Inbox, receive};
use granian_net::placement::io_thread::{IoThread, Telling};
use granian_net::placement::site::{Common, Role, Site, SiteParts};
use granian_net::responders::health::Health;
use granian_net::runtime::reactor::Reactor;
use granian_net::tls::config::TlsConfig;

/// See the module's documentation.
pub(crate) struct Sites {
    /// The application as the loop's thread calls it.
    app: Rc<dyn App>,
    common: Common,
    place: Place,
}

enum Place {
    Here(Box<Site>),
    Threads {
        threads: RefCell<Vec<IoThread>>,
        inbox: Arc<Inbox>,
        telling: Arc<Telling>,
    },
}

/// What the sites are made by, on whichever thread.
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<Arc<TlsConfig>>,
    pub(crate) page: Option<Arc<Page>>,
    pub(crate) calls: Arc<Calls>,
}

impl Sites {
    /// The sites of `app`, which is called on the thread of `reactor`.
    ///
    /// # Errors
    /// `OSError` for folders that cannot be opened, and for what the system does not give.
    pub(crate) fn new(
        mut plan: Plan,
        app: Rc<dyn App>,
        reactor: &Reactor,
        metrics: Option<Rc<Metrics>>,
    ) -> PyResult<Self> {
        if plan.is_apart() {
            plan.limits.most_body_window = APART_BODY_WINDOW;
        }
        match plan.options.io_threads {
            0 => {
                let common = Common::new(&plan.limits, &plan.calls.spools);
                common.app.pace(&plan.limits);
                let site = plan.site(reactor.clone(), app, metrics, (&common, 0))?;
                let app = Rc::clone(&site.service.app);
                let place = Place::Here(Box::new(site));
                Ok(Self { app, common, place })
            }
            _ => Self::on_threads(plan, app, reactor),
        }
    }

    fn on_threads(mut plan: Plan, app: Rc<dyn App>, reactor: &Reactor) -> PyResult<Self> {
        // No thread is busy with both, connections and the interpreter.
        plan.limits.has_gil = false;
        let common = Common::new(&plan.limits, &plan.calls.spools);
        let errands = Errands::start(reactor)?;
        plan.calls.event_loop.set_errands(errands);
        let inbox = Arc::<Inbox>::default();
        common.app.pace_rounds(&plan.limits);
        receive(reactor, Arc::clone(&inbox), Rc::clone(&app), &common.app)?;
        let telling = Arc::new(Telling::new(Arc::clone(reactor.mailbox())));
        let plan = Arc::new(plan);
        let start = |index| {
            let (plan, inbox) = (Arc::clone(&plan), Arc::clone(&inbox));
            let common = common.clone();
            let make = move |reactor| {
                let traits = plan.traits();
                let app = Rc::new(HandOver::new(inbox, traits, plan.calls.clone()));
                plan.site(reactor, app, plan.metrics(index)?, (&common, index))
            };
            IoThread::start(format!("granian-io-{index}"), Arc::clone(&telling), make)
        };
        let threads = (0..plan.options.io_threads).map(start);
        let threads = RefCell::new(threads.collect::<PyResult<_>>()?);
        // The first turn: from then on the tasks are woken.
        reactor.mailbox().signal();
        let place = Place::Threads {
            threads,
            inbox,
            telling,
        };
        Ok(Self { app, common, place })
    }

    /// Counted over all threads.
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// See `App::gathers`.
    pub(crate) fn gathers(&self) -> bool {
        self.app.gathers()
    }

    /// The loop's turn has ended.
    pub(crate) fn end_turn(&self) {
        self.app.end_turn();
    }

    /// Does something with each site, on its thread; a turn there follows.
    pub(crate) fn each(&self, py: Python<'_>, act: impl Fn(&Site) + Clone + Send + 'static) {
        match &self.place {
            Place::Here(site) => act(site),
            Place::Threads { threads, .. } => {
                let threads = threads.borrow();
                let waits: Vec<_> = threads.iter().map(|one| one.order(act.clone())).collect();
                drop(threads);
                py.detach(|| {
                    for done in waits {
                        // An error: nothing is sent, the other end is dropped.
                        let _ = done.recv();
                    }
                });
            }
        }
    }

    /// Accepts on the listening socket `fd`, which is duplicated.
    ///
    /// # Errors
    /// `OSError` if it is no such socket.
    pub(crate) fn listen(&self, py: Python<'_>, fd: RawFd, role: Role) -> PyResult<()> {
        match &self.place {
            Place::Here(site) => Ok(site.listen(fd, listener(duplicate(fd)?)?, role)?),
            Place::Threads { threads, .. } => {
                let (result, results) = channel();
                for thread in &*threads.borrow() {
                    let (listener, result) = (listener(duplicate(fd)?)?, result.clone());
                    let _ = thread.order(move |site| {
                        let _ = result.send(site.listen(fd, listener, role));
                    });
                }
                drop(result);
                let results: Vec<_> = py.detach(move || results.iter().collect());
                Ok(results.into_iter().collect::<std::io::Result<()>>()?)
            }
        }
    }

    /// True if no connection is open, and no request on its way to the application.
    pub(crate) fn are_empty(&self) -> bool {
        // In this order: a request goes on its way before its connection ends.
        self.common.connections() == 0
            && match &self.place {
                Place::Here(_) => true,
                Place::Threads { inbox, .. } => inbox.is_empty(),
            }
    }

    /// Responses that have left.
    pub(crate) fn handled(&self) -> u64 {
        match &self.place {
            Place::Here(site) => site.service.handled.get(),
            Place::Threads { telling, .. } => telling.handled(),
        }
    }

    /// Asks for a turn of the loop's reactor once so many responses have left. Where connections live there, each has
    /// one.
    pub(crate) fn tell_after(&self, count: u64) {
        if let Place::Threads { telling, .. } = &self.place {
            telling.tell_after(count);
        }
    }

    /// Ends the threads, if there are any, with their connections. True if that has left something to this one.
    pub(crate) fn end_threads(&self, py: Python<'_>) -> bool {
        let Place::Threads { threads, .. } = &self.place else {
            return false;
        };
        let threads = threads.take();
        py.detach(|| drop(threads));
        true
    }
}

impl Plan {
    /// A site of `app` on the thread of `reactor`, the `index`-th.
    fn site(
        &self,
        reactor: Reactor,
        app: Rc<dyn App>,
        metrics: Option<Rc<Metrics>>,
        (common, index): (&Common, usize),
    ) -> PyResult<Site> {
        let options = &self.options;
        let page = self.page.as_ref();
        let app = behind_responders(app, options, &reactor, page, self.calls.event_loop.home())?;
        let is_ready = Rc::new(Cell::new(true));
        let app = match &options.health_path {
            Some(path) => Rc::new(Health::new(path, Rc::clone(&is_ready), app)),
            None => app,
        };
        let proxies = options.proxies.as_ref().map(|it| it.load()).transpose()?;
        let parts = SiteParts {
            shared: common.clone(),
            limits: self.limits,
            metrics,
            proxies,
            journal: Arc::clone(&self.calls) as _,
            is_ready,
        };
        let request_id = options.request_id_header.as_deref();
        let site = Site::new(reactor, app, parts, request_id, index == 0)?;
        if let Some(tls) = &self.tls {
            site.set_tls(Arc::clone(tls));
        }
        Ok(site)
    }

    /// The numbers of the `index`-th thread.
    fn metrics(&self, index: usize) -> PyResult<Option<Rc<Metrics>>> {
        let (Some(page), Some(options)) = (&self.page, &self.options.metrics) else {
            return Ok(None);
        };
        let place = (index, self.options.io_threads);
        let metrics = Metrics::of_thread(Arc::clone(page), options.slow(), place)?;
        Ok(Some(Rc::new(metrics)))
    }

    /// True if bodies are read on other threads than those of connections.
    fn is_apart(&self) -> bool {
        let has_pool = self.options.interface == Interface::Wsgi && has_pool(&self.options);
        self.options.io_threads > 0 || has_pool
    }

    /// What `Coroutines` and `Wsgi` answer to connections.
    fn traits(&self) -> AppTraits {
        let is_wsgi = self.options.interface == Interface::Wsgi;
        AppTraits {
            wish: match is_wsgi {
                false => BodyWish::Nothing,
                true => body_wish(has_pool(&self.options)),
            },
            speaks_websocket: !is_wsgi,
        }
    }
}

/// The thread of a connection goes on reading a body while the application works on what it has. `--only upload` of
/// `python -m benches.placement`, plain, on two processors: 71 ms with 64 KiB, 34 with 128, 28 with 256, 28 with 512,
/// 36 with 1 MiB, which is no longer in the processor's cache when the application copies it.
const APART_BODY_WINDOW: usize = 256 * 1024;

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
