//! `Files`: an application around the user's that answers requests below its routes with files.
//!
//! Three steps, each a file of its own: `mount` from a path to an open file, `decide` from the
//! request's fields to what of it goes out, `respond` to the replies. Files are opened and read by
//! threads of their own; what is in the `cache` and fresh, and what the kernel knows not to exist, is
//! answered at once.

mod beneath;
mod cache;
mod decide;
mod hand_off;
mod heads;
mod late;
mod mount;
mod options;
mod respond;
mod stored;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use granian_proto::RequestHead;
pub use regex_lite::Regex;
use slab::Slab;

use self::cache::{Cache, Question};
pub use self::hand_off::HandOff;
use self::late::Late;
use self::mount::Found;
pub use self::mount::Mount;
pub use self::options::MountOptions;
use crate::exchange::app::{App, BodyWish, Request, Source};
use crate::metrics::Page;
use crate::metrics::layout::at;
use crate::responders::layer::Layer;
use crate::runtime::pool::Pool;
use crate::runtime::reactor::Reactor;
use crate::runtime::ready::Ready;

/// See the module's documentation.
pub struct Files(Rc<Desk>);

/// The part that lives on the connections' thread.
struct Desk {
    mounts: Arc<Mounts>,
    inner: Rc<dyn App>,
    /// Files are opened and read on them. Each mount has its own: a disk that does not answer holds up no other.
    threads: Vec<Arc<Pool<LookUp>>>,
    /// The sources of requests that the application may get yet.
    late: RefCell<Slab<Late>>,
    /// Where requests are counted.
    page: Option<Arc<Page>>,
}

/// The part that the threads share with it.
struct Mounts {
    mounts: Vec<Mount>,
    cache: Cache,
    ready: Ready<(LookUp, Arc<Found>)>,
}

/// A request whose file is to be looked for.
struct LookUp {
    question: Question<'static>,
    request: Request,
    /// The key of its source in `Desk::late`, if the application gets it where there is no file.
    late: Option<usize>,
}

impl Files {
    /// Serves `mounts`, the first that matches, and everything else by `inner`, on the thread of
    /// `reactor`. Requests for files are counted on `page`.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(
        mounts: Vec<Mount>,
        inner: Rc<dyn App>,
        reactor: &Reactor,
        page: Option<Arc<Page>>,
    ) -> io::Result<Self> {
        let mounts = Arc::new(Mounts {
            mounts,
            cache: Cache::default(),
            ready: Ready::new(),
        });
        let threads = |_: &Mount| {
            let shared = Arc::clone(&mounts);
            let serve = move |look_up| shared.serve(look_up);
            Pool::working("granian-files", THREADS, IDLE_TIMEOUT, serve)
        };
        let threads = mounts.mounts.iter().map(threads).collect();
        let desk = Rc::new(Desk {
            threads,
            mounts,
            inner,
            late: RefCell::default(),
            page,
        });
        let this = Rc::clone(&desk);
        reactor.spawn(|_| {
            Ok(poll_fn(move |cx| {
                this.take_found(cx);
                Poll::<()>::Pending
            }))
        })?;
        Ok(Self(desk))
    }
}

impl Layer for Files {
    fn inner(&self) -> &dyn App {
        &*self.0.inner
    }

    fn wants(&self, head: &RequestHead) -> BodyWish {
        match self.0.mount(head) {
            Some(index) if !self.0.mounts.mounts[index].options.falls_through => BodyWish::Nothing,
            _ => self.0.inner.wants(head),
        }
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        match self.0.mount(request.head()) {
            Some(index) if request.websocket.is_none() => self.0.call(index, request),
            _ => self.0.inner.call(request),
        }
    }

    fn end_turn(&self) {
        for threads in &self.0.threads {
            for (_, look_up) in threads.staff() {
                // Without a thread this one has to do it.
                self.0.mounts.serve(look_up);
            }
        }
        self.0.inner.end_turn();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.0.threads.iter().for_each(|threads| threads.close());
    }
}

impl Desk {
    /// The mount whose route `head`'s path is on.
    fn mount(&self, head: &RequestHead) -> Option<usize> {
        let path = head.path();
        let mounts = &self.mounts.mounts;
        mounts.iter().position(|mount| mount.is_below(path))
    }

    /// Answers `request` with a file of the `index`-th mount.
    fn call(&self, index: usize, request: Request) -> Option<Box<dyn Source>> {
        let mount = self.mounts.mounts.get(index)?;
        if !matches!(request.head().method(), "GET" | "HEAD") {
            if mount.options.falls_through {
                return self.inner.call(request);
            }
            self.count(at::STATIC_HANDLED);
            respond::refuse_method(&request.exchange);
            request.exchange.end_call(self.inner.journal());
            return None;
        }
        let question = Question::new(index, mount, request.head());
        if let Some(found) = self.mounts.cache.fresh(&question, Instant::now()) {
            return self.answer(mount, request, &found);
        }
        if let Some(found) = mount.known_absence(&question.path, request.head()) {
            return self.answer(mount, request, &found);
        }
        let threads = self.threads.get(index)?;
        let waiting = self.threads.iter().map(|threads| threads.waiting());
        if waiting.sum::<usize>() >= MOST_WAITING {
            self.count(at::STATIC_BUSY);
            respond::refuse_busy(&request.exchange);
            request.exchange.end_call(self.inner.journal());
            return None;
        }
        request.exchange.set_file_awaited(true);
        let question = question.into_owned();
        let late = mount.options.falls_through.then(Late::default);
        let key = late.clone().map(|late| self.late.borrow_mut().insert(late));
        threads.submit(LookUp {
            question,
            request,
            late: key,
        });
        late.map(|late| Box::new(late) as Box<dyn Source>)
    }

    /// Answers with what was found, or has the application answer.
    fn answer(&self, mount: &Mount, request: Request, found: &Found) -> Option<Box<dyn Source>> {
        if mount.options.falls_through && matches!(found, Found::Missing) {
            return self.inner.call(request);
        }
        self.count(at::STATIC_HANDLED);
        if matches!(found, Found::Missing) {
            self.count(at::STATIC_MISSED);
        }
        mount.answer(&request, found);
        request.exchange.end_call(self.inner.journal());
        None
    }

    fn count(&self, at: usize) {
        if let Some(page) = &self.page {
            page.add(at, 1);
        }
    }

    /// Answers the requests that threads have found the files of.
    fn take_found(&self, cx: &mut Context<'_>) {
        if !self.inner.may_start() {
            return cx.waker().wake_by_ref();
        }
        for (look_up, found) in self.mounts.ready.take(cx) {
            let late = look_up
                .late
                .and_then(|key| self.late.borrow_mut().try_remove(key));
            let Some(mount) = self.mounts.mounts.get(look_up.question.mount) else {
                continue;
            };
            let exchange = Arc::clone(&look_up.request.exchange);
            exchange.set_file_awaited(false);
            let source = self.answer(mount, look_up.request, &found);
            if let Some(late) = late {
                late.arrive(source);
                exchange.wake_connection();
            }
        }
    }
}

impl Mounts {
    /// Looks for the file on a thread that may wait for a disk.
    fn serve(&self, look_up: LookUp) {
        // A bug costs the request that it is in, not the thread.
        let found = catch_unwind(AssertUnwindSafe(|| self.look_up(&look_up)));
        let found = found.unwrap_or_else(|_| Arc::new(Found::Refused));
        self.ready.push((look_up, found));
    }

    fn look_up(&self, look_up: &LookUp) -> Arc<Found> {
        let question = &look_up.question;
        let Some(mount) = self.mounts.get(question.mount) else {
            return Arc::new(Found::Refused);
        };
        // Another thread may have found it while this request waited.
        if let Some(found) = self.cache.fresh(question, Instant::now()) {
            return found;
        }
        if look_up.request.exchange.is_closed() {
            // Nobody takes the answer any more.
            return Arc::new(Found::Refused);
        }
        let known = self.cache.stale(question);
        let found = mount.look_up(&question.path, look_up.request.head(), known);
        let found = Arc::new(found);
        let question = question.clone();
        self.cache
            .keep(question, Arc::clone(&found), Instant::now());
        found
    }
}

/// Look-ups of all mounts that wait for a thread. The next ones are refused: a disk does not answer. Each holds one of the
/// worker's calls, of which there are 1,024 at least, and the application is to have the others.
const MOST_WAITING: usize = 512;
/// As many files of a mount are opened at once: a disk that is slow for one is not slow for all.
const THREADS: usize = 8;
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
