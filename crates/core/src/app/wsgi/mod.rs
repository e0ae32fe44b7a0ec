//! WSGI, as PEP 3333 has it: called inline on the loop's thread, or from a pool of threads.

mod block;
mod environ;
mod hours;
mod input;
mod pool;
mod response_iterator;
mod seat;
mod start_response;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use granian_proto::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;

use self::environ::EnvironTemplate;
pub(crate) use self::input::Input;
use self::pool::Threads;
use self::response_iterator::ResponseIterator;
pub(crate) use self::start_response::{FileWrapper, StartResponse};
use super::call::{Call, Outcome};
use super::calls::Calls;
use super::watch::watch;
use crate::options::Options;
use granian_net::exchange::app::{App, BodyWish, Journal, Request, Source};
use granian_net::metrics::Page;
use granian_net::runtime::reactor::Reactor;

/// A WSGI application.
pub(crate) struct Wsgi {
    target: Arc<Target>,
    calls: Arc<Calls>,
    reactor: Reactor,
    /// `None`: called inline.
    pool: Option<Arc<Threads>>,
    /// Calls of this turn, which the pool gets at its end: a thread that woke before would only wait for the
    /// interpreter.
    fresh: RefCell<Vec<Arc<Call>>>,
    event_loop: Rc<HiddenLoop>,
}

impl Wsgi {
    pub(crate) fn new(
        callable: Bound<'_, PyAny>,
        options: &Options,
        calls: Arc<Calls>,
        reactor: Reactor,
        page: Option<&Arc<Page>>,
    ) -> PyResult<Self> {
        let py = callable.py();
        let target = Arc::new(Target {
            environ: EnvironTemplate::new(py, options)?,
            callable: callable.unbind(),
        });
        let pool = has_pool(options).then(|| {
            Threads::new(
                Arc::clone(&target),
                Arc::clone(&calls),
                (
                    options.blocking_threads,
                    options.blocking_threads_idle_timeout,
                ),
                page.cloned(),
            )
        });
        Ok(Self {
            target,
            event_loop: Rc::new(HiddenLoop::new(Arc::clone(&calls))),
            calls,
            reactor,
            pool,
            fresh: RefCell::default(),
        })
    }

    fn call_inline(&self, py: Python<'_>, call: Arc<Call>) -> Option<Box<dyn Source>> {
        self.event_loop.hide(py);
        let body = self.target.begin(py, call, false)?;
        Some(Box::new(Pull {
            body,
            event_loop: Rc::clone(&self.event_loop),
        }))
    }
}

impl App for Wsgi {
    fn may_start(&self) -> bool {
        self.reactor.is_in_turn()
    }

    fn wants(&self, _head: &RequestHead) -> BodyWish {
        body_wish(self.pool.is_some())
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        let call = Call::new(&request, Arc::clone(&self.calls));
        if self.pool.is_none() {
            return Python::attach(|py| self.call_inline(py, call));
        }
        watch(&call);
        self.fresh.borrow_mut().push(call);
        None
    }

    /// A thread that woke for the first of them would wait for the interpreter, which this one has.
    fn gathers(&self) -> bool {
        (2..MOST_GATHERED).contains(&self.fresh.borrow().len())
    }

    fn end_turn(&self) {
        match &self.pool {
            Some(pool) => pool.staff(&mut self.fresh.borrow_mut()),
            None => self.event_loop.show(),
        }
    }

    fn journal(&self) -> &dyn Journal {
        &*self.calls
    }
}

impl Drop for Wsgi {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
    }
}

/// Calls of one turn that are worth a look for more.
const MOST_GATHERED: usize = 64;

/// True if threads of a pool call the application.
pub(crate) fn has_pool(options: &Options) -> bool {
    options.blocking_threads > 1
}

/// What a WSGI application wants of each body first.
///
/// Inline, nobody could wait for the rest of a body: the thread that waits is the one that reads it. A thread of the pool
/// that reads a body waits for its peer; slow peers would soon have all threads.
pub(crate) fn body_wish(has_pool: bool) -> BodyWish {
    match has_pool {
        false => BodyWish::Whole,
        true => BodyWish::Small,
    }
}

/// What is called, and with what.
struct Target {
    callable: Py<PyAny>,
    environ: EnvironTemplate,
}

impl Target {
    /// Calls the application for `call`; `None` if that has ended the call. `may_wait`: on a thread that may wait.
    fn begin(&self, py: Python<'_>, call: Arc<Call>, may_wait: bool) -> Option<ResponseIterator> {
        let environ = match self.environ.make(py, &call) {
            Ok(Some(environ)) => environ,
            Ok(None) => {
                call.plain(404, "Not found");
                call.finish(py, Outcome::Returned);
                return None;
            }
            Err(error) => {
                call.finish(py, Outcome::Raised(error));
                return None;
            }
        };
        call.calls.note_scope(call.key(), environ.as_any());
        ResponseIterator::begin(
            py,
            self.callable.bind(py),
            environ.into_any(),
            call,
            may_wait,
        )
    }
}

/// The rest of a response whose application is called inline.
struct Pull {
    body: ResponseIterator,
    event_loop: Rc<HiddenLoop>,
}

impl Source for Pull {
    fn pull(&mut self) -> bool {
        Python::attach(|py| {
            self.event_loop.hide(py);
            self.body.step(py)
        })
    }
}

/// While application code runs inline, no event loop is running as far as it can see: it may
/// start one of its own, as `asyncio.run` and asgiref do. From the first call in a turn to the turn's
/// end, since nothing else that could look runs meanwhile.
struct HiddenLoop {
    calls: Arc<Calls>,
    is_hidden: Cell<bool>,
}

impl HiddenLoop {
    fn new(calls: Arc<Calls>) -> Self {
        Self {
            calls,
            is_hidden: Cell::new(false),
        }
    }

    fn hide(&self, py: Python<'_>) {
        if !self.is_hidden.replace(true) {
            set_running_loop(py, &self.calls, None);
        }
    }

    fn show(&self) {
        if self.is_hidden.replace(false) {
            Python::attach(|py| {
                set_running_loop(py, &self.calls, Some(self.calls.event_loop.object(py)));
            });
        }
    }
}

fn set_running_loop(py: Python<'_>, calls: &Calls, event_loop: Option<&Bound<'_, PyAny>>) {
    static SET: pyo3::sync::PyOnceLock<Py<PyAny>> = pyo3::sync::PyOnceLock::new();
    let set = SET.get_or_try_init(py, || {
        py.import("asyncio")?
            .getattr(intern!(py, "_set_running_loop"))
            .map(Bound::unbind)
    });
    if let Err(error) = set.and_then(|set| set.bind(py).call1((event_loop,)).map(drop)) {
        calls.report(py, error);
    }
}
