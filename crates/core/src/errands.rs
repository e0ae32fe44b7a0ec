//! `Errands`: what I/O threads leave to the event loop's thread, since it needs the interpreter, for which they never
//! wait: futures to resolve, calls to cancel, lines of the server's log.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use pyo3::prelude::*;

use crate::server_log::say;
use granian_net::runtime::reactor::Reactor;
use granian_net::runtime::ready::Ready;

/// See the module's documentation. The queue is bounded by the waits of the application's calls, and by `MOST_LINES`.
pub(crate) struct Errands {
    ready: Ready<Errand>,
    /// Lines in the queue, and those that found no room.
    lines: AtomicUsize,
    lost: AtomicUsize,
}

type Job = Box<dyn FnOnce(Python<'_>) + Send>;

enum Errand {
    Job(Job),
    Line(&'static str, String),
}

impl Errands {
    /// Runs errands in turns of `reactor`, on the loop's thread.
    ///
    /// # Errors
    /// When the reactor has no room for a task.
    pub(crate) fn start(reactor: &Reactor) -> io::Result<Arc<Self>> {
        let this = Arc::new(Self {
            ready: Ready::new(),
            lines: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let errands = Arc::clone(&this);
        reactor.spawn(|_| {
            Ok(poll_fn(move |cx| {
                let taken = errands.ready.take(cx);
                if !taken.is_empty() {
                    Python::attach(|py| taken.into_iter().for_each(|it| errands.run(py, it)));
                }
                Poll::<()>::Pending
            }))
        })?;
        Ok(this)
    }

    /// Leaves `job` to the loop's thread.
    pub(crate) fn add(&self, job: Job) {
        self.ready.push(Errand::Job(job));
    }

    /// Leaves a line of the server's log to it.
    pub(crate) fn say(&self, level: &'static str, message: String) {
        if self.lines.fetch_add(1, Ordering::Relaxed) < MOST_LINES {
            self.ready.push(Errand::Line(level, message));
        } else {
            self.lines.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn run(&self, py: Python<'_>, errand: Errand) {
        match errand {
            Errand::Job(job) => job(py),
            Errand::Line(level, message) => {
                self.lines.fetch_sub(1, Ordering::Relaxed);
                say(py, level, &message);
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let message = format!("{lost} lines about connections found no room");
                    say(py, "warning", &message);
                }
            }
        }
    }
}

/// Lines that wait for the loop's thread.
const MOST_LINES: usize = 1000;
