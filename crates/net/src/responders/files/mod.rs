//! `Files`: an application around the user's that answers requests below its routes with files.
//!
//! Three steps, each a file of its own: `resolve` from a path to an open file, `decide` from the
//! request's fields to what of it goes out, `respond` to the replies. Files are opened and read by
//! threads of their own; what is in the `cache` and fresh is answered at once.

mod cache;
mod decide;
mod resolve;
mod respond;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use granian_proto::file::segments;

use self::cache::{Cache, Key};
use self::resolve::Found;
pub use self::resolve::{Mount, MountOptions};
use crate::exchange::app::{App, BodyWish, Journal, Request, Source};
use crate::runtime::pool::{Pool, Seat};
use granian_proto::RequestHead;

/// See the module's documentation.
pub struct Files {
    mounts: Arc<Mounts>,
    inner: Rc<dyn App>,
    threads: Arc<Pool<Task>>,
}

/// The state that the threads share with the connections.
struct Mounts {
    mounts: Vec<Mount>,
    cache: Cache,
}

type Task = Box<dyn FnOnce() + Send>;

impl Files {
    /// Serves `mounts`, the first that matches, and everything else by `inner`.
    pub fn new(mounts: Vec<Mount>, inner: Rc<dyn App>) -> Self {
        Self {
            mounts: Arc::new(Mounts {
                mounts,
                cache: Cache::default(),
            }),
            inner,
            threads: threads(),
        }
    }

    /// The mount whose route `head`'s path is on.
    fn mount(&self, head: &RequestHead) -> Option<usize> {
        let path = head.path();
        // Most paths are on no route, and most routes are plain text.
        let mounts = &self.mounts.mounts;
        mounts.iter().position(|mount| mount.is_below(path))
    }
}

impl App for Files {
    fn may_start(&self) -> bool {
        self.inner.may_start()
    }

    fn wants(&self, head: &RequestHead) -> BodyWish {
        match self.mount(head) {
            Some(_) => BodyWish::Nothing,
            None => self.inner.wants(head),
        }
    }

    fn speaks_websocket(&self) -> bool {
        self.inner.speaks_websocket()
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        let is_plain = request.websocket.is_none();
        let Some(index) = self.mount(&request.head).filter(|_| is_plain) else {
            return self.inner.call(request);
        };
        if !matches!(request.head.method(), "GET" | "HEAD") {
            respond::refuse_method(&request.exchange);
            request.exchange.give_back_permit();
            return None;
        }
        let key = Key::of(index, &request.head);
        if let Some(found) = self.mounts.cache.fresh(&key, Instant::now()) {
            self.mounts.mounts[index].answer(&request, &found);
            request.exchange.give_back_permit();
            return None;
        }
        let mounts = Arc::clone(&self.mounts);
        self.threads.submit(Box::new(move || {
            mounts.serve(key, &request);
            request.exchange.give_back_permit();
        }));
        None
    }

    fn end_turn(&self) {
        for (_, task) in self.threads.staff() {
            // Without a thread this one has to do it.
            task();
        }
        self.inner.end_turn();
    }

    fn journal(&self) -> &dyn Journal {
        self.inner.journal()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.threads.close();
    }
}

impl Mounts {
    /// Looks for the file and answers, on a thread that may wait for a disk.
    fn serve(&self, key: Key, request: &Request) {
        let Some(mount) = self.mounts.get(key.mount) else {
            return;
        };
        let known = self.cache.stale(&key);
        let found = match segments(&key.path) {
            Some(segments) => mount.resolve(&segments, &request.head, known),
            None => Found::Missing,
        };
        let found = Arc::new(found);
        self.cache.keep(key, Arc::clone(&found), Instant::now());
        mount.answer(request, &found);
    }
}

/// Threads that files are opened and read on.
fn threads() -> Arc<Pool<Task>> {
    Arc::new_cyclic(|pool| {
        let pool = std::sync::Weak::<Pool<Task>>::clone(pool);
        Pool::new(THREADS, IDLE_TIMEOUT, move |_| {
            let Some(pool) = pool.upgrade() else {
                return false;
            };
            let thread = std::thread::Builder::new().name("granian-files".to_owned());
            let run = move || {
                let mut seat = Seat::new();
                while let Some(task) = pool.take(&mut seat) {
                    // A bug costs the request that it is in, not the thread.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(task));
                }
            };
            thread.spawn(run).is_ok()
        })
    })
}

/// As many files are opened at once: a disk that is slow for one is not slow for all.
const THREADS: usize = 8;
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
