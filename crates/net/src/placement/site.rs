//! `Site`: one thread's part of a worker: its listeners, services and connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::exchange::app::{App, Journal};
use crate::exchange::spool::Spools;
use crate::limits::Limits;
use crate::listener::{Listener, Listening, listen};
use crate::metrics::Metrics;
use crate::placement::shared::Shared;
use crate::proxies::Proxies;
use crate::responders::redirect::Redirect;
use crate::runtime::reactor::Reactor;
use crate::service::{AfterDrain, Service, Stage};
use crate::tls::config::TlsConfig;

/// The journal of an application, which any thread may tell.
pub type SharedJournal = Arc<dyn Journal + Send + Sync>;

/// The service that the clients of a listener get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The application, secured if the worker is.
    App,
    /// In plain: redirects to the secured port of the same host.
    Redirect {
        /// That port.
        secured_port: u16,
    },
}

/// See the module's documentation. It lives on its reactor's thread.
pub struct Site {
    /// Runs the connections.
    pub reactor: Reactor,
    /// The application's.
    pub service: Rc<Service>,
    parts: SiteParts,
    /// The services of listeners in other roles than the application's.
    others: RefCell<Vec<(Role, Rc<Service>)>>,
    /// By the descriptors that they were given as.
    listening: RefCell<Vec<(RawFd, Listening)>>,
}

/// What a site is made of.
pub struct SiteParts {
    /// Counted together with other sites of the worker.
    pub shared: Common,
    /// The bounds of its services.
    pub limits: Limits,
    /// The numbers that others read.
    pub metrics: Option<Rc<Metrics>>,
    /// The proxies in front, if any are trusted.
    pub proxies: Option<Rc<Proxies>>,
    /// The application's.
    pub journal: SharedJournal,
    /// The answer of the health path.
    pub is_ready: Rc<Cell<bool>>,
}

/// What the sites of one worker count together.
#[derive(Clone)]
pub struct Common {
    /// For the application's listeners.
    pub app: Shared,
    /// For those that redirect.
    pub redirect: Shared,
}

impl Common {
    /// Nothing yet, within these limits. Bodies that wait in temporary files count in `spools`.
    pub fn new(limits: &Limits, spools: &Spools) -> Self {
        let of_redirects = Limits {
            has_gil: false,
            ..*limits
        };
        Self {
            app: Shared::new(limits, spools),
            redirect: Shared::new(&of_redirects, spools),
        }
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.app.connections() + self.redirect.connections()
    }
}

impl Site {
    /// A site of `app` on the thread of `reactor`, which gives its requests the names of the field `request_id`, if any.
    /// One site of a worker is its `first`.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(
        reactor: Reactor,
        app: Rc<dyn App>,
        parts: SiteParts,
        request_id: Option<&str>,
        is_first: bool,
    ) -> io::Result<Self> {
        let service = Service::new(app, parts.limits, &parts.shared.app);
        let service = service.measured(parts.metrics.clone()).naming(request_id);
        let service = Rc::new(service.behind(parts.proxies.clone()));
        if is_first {
            service.patrol(&reactor)?;
        }
        Ok(Self {
            reactor,
            service,
            parts,
            others: RefCell::default(),
            listening: RefCell::default(),
        })
    }

    /// Accepts on `listener`, which was given as the descriptor `fd`.
    ///
    /// # Errors
    /// When the poller refuses the socket.
    pub fn listen(&self, fd: RawFd, listener: Listener, role: Role) -> io::Result<()> {
        let listening = listen(&self.reactor, listener, self.service_of(role))?;
        self.listening.borrow_mut().push((fd, listening));
        Ok(())
    }

    /// Accepts no more on that listener, from the next turn on.
    pub fn unlisten(&self, fd: RawFd) {
        let mut listening = self.listening.borrow_mut();
        let ended = listening.extract_if(.., |(given, _)| *given == fd);
        ended.for_each(|(_, listening)| listening.end());
    }

    /// Secures the connections that are accepted from now on.
    pub fn set_tls(&self, config: Arc<TlsConfig>) {
        self.service.set_tls(config);
    }

    /// Says on the health path whether it is ready.
    pub fn set_ready(&self, is_ready: bool) {
        self.parts.is_ready.set(is_ready);
    }

    /// Begins the drain.
    pub fn drain(&self, after_drain: AfterDrain) {
        self.set_ready(false);
        let now = Instant::now();
        self.services()
            .iter()
            .for_each(|service| service.drain(now, after_drain));
        self.reactor.wake_all();
    }

    /// Cuts what is left.
    pub fn cancel(&self) {
        for service in self.services() {
            service.stage.set(Stage::Cancelled);
        }
        self.reactor.wake_all();
    }

    /// True once it drains.
    pub fn is_draining(&self) -> bool {
        self.service.stage.get() != Stage::Serving
    }

    /// The numbers of this thread go where others see them.
    pub(super) fn publish(&self) {
        if let Some(metrics) = &self.parts.metrics {
            metrics.publish();
        }
    }

    /// Open connections of all sites of the worker.
    pub(super) fn connections(&self) -> usize {
        self.parts.shared.connections()
    }

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
                let journal = Arc::clone(&self.parts.journal);
                Rc::new(Redirect::new(secured_port, journal))
            }
        };
        let mut others = self.others.borrow_mut();
        if let Some((_, service)) = others.iter().find(|(other, _)| *other == role) {
            return Rc::clone(service);
        }
        let parts = &self.parts;
        let service = Service::new(app, parts.limits, &parts.shared.redirect);
        let service = service.measured(parts.metrics.clone());
        let service = Rc::new(service.behind(parts.proxies.clone()));
        others.push((role, Rc::clone(&service)));
        service
    }
}
