//! `Compress`: an application around the user's whose responses are compressed for clients that take
//! it. See `exchange/compression`.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use granian_proto::RequestHead;

use crate::exchange::app::{App, BodyWish, Journal, Request, Source};
use crate::exchange::compression::{Job, Workshop};
use crate::runtime::pool::{Pool, Seat};
use crate::runtime::reactor::Reactor;

/// See the module's documentation.
pub struct Compress {
    inner: Rc<dyn App>,
    workshop: Arc<Workshop>,
}

impl Compress {
    /// Compresses the responses of `inner`, for the connections of `reactor`.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(inner: Rc<dyn App>, reactor: &Reactor) -> io::Result<Self> {
        let workshop = Arc::new(Workshop::new(threads()));
        let (this, app) = (Arc::clone(&workshop), Rc::clone(&inner));
        reactor.spawn(|_| {
            Ok(poll_fn(move |cx| {
                for exchange in this.ended.take(cx) {
                    exchange.end_call(app.journal());
                }
                Poll::<()>::Pending
            }))
        })?;
        Ok(Self { inner, workshop })
    }
}

impl App for Compress {
    fn may_start(&self) -> bool {
        self.inner.may_start()
    }

    fn wants(&self, head: &RequestHead) -> BodyWish {
        self.inner.wants(head)
    }

    fn speaks_websocket(&self) -> bool {
        self.inner.speaks_websocket()
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        if request.websocket.is_none() {
            request
                .exchange
                .begin_compression(&request.head, &self.workshop);
        }
        self.inner.call(request)
    }

    fn end_turn(&self) {
        self.inner.end_turn();
    }

    fn journal(&self) -> &dyn Journal {
        self.inner.journal()
    }
}

impl Drop for Compress {
    fn drop(&mut self) {
        self.workshop.threads.close();
    }
}

/// Threads that compress large pieces.
fn threads() -> Arc<Pool<Job>> {
    Arc::new_cyclic(|pool| {
        let pool = std::sync::Weak::<Pool<Job>>::clone(pool);
        Pool::new(THREADS, IDLE_TIMEOUT, move |_| {
            let Some(pool) = pool.upgrade() else {
                return false;
            };
            let thread = std::thread::Builder::new().name("granian-compress".to_owned());
            let run = move || {
                let mut seat = Seat::new();
                while let Some(job) = pool.take(&mut seat) {
                    job.run();
                }
            };
            thread.spawn(run).is_ok()
        })
    })
}

const THREADS: usize = 4;
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
