//! `Compress`: an application around the user's whose responses are compressed for clients that take
//! it. See `exchange/compression`.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::layer::Layer;
use crate::exchange::app::{App, Request, Source};
use crate::exchange::compression::{Job, Workshop};
use crate::runtime::pool::Pool;
use crate::runtime::reactor::Reactor;

/// See the module's documentation.
pub struct Compress {
    inner: Rc<dyn App>,
    workshop: Arc<Workshop>,
}

impl Compress {
    /// Compresses the responses of `inner`, for the connections of `reactor`. Large pieces that the thread `busy` sends
    /// (see `thread_token`), which has other work, are compressed by threads.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub fn new(inner: Rc<dyn App>, reactor: &Reactor, busy: usize) -> io::Result<Self> {
        let threads = Pool::working("granian-compress", THREADS, IDLE_TIMEOUT, Job::run);
        let workshop = Arc::new(Workshop::new(threads, busy));
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

impl Layer for Compress {
    fn inner(&self) -> &dyn App {
        &*self.inner
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        if request.websocket.is_none() {
            request
                .exchange
                .begin_compression(request.head(), &self.workshop);
        }
        self.inner.call(request)
    }
}

impl Drop for Compress {
    fn drop(&mut self) {
        self.workshop.threads.close();
    }
}

/// Threads that compress large pieces.
const THREADS: usize = 4;
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
