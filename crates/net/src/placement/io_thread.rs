//! `IoThread`: a thread that runs a site: its reactor has nothing but the site's connections, and never waits for the
//! interpreter.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::placement::site::Site;
use crate::runtime::reactor::Reactor;
use crate::runtime::waker::{Mailbox, lock};

/// A running thread; its drop ends it and waits for that.
pub struct IoThread {
    orders: Arc<Orders>,
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// What the I/O threads of a worker tell the thread that looks after them.
pub struct Telling {
    /// Responses that have left, of all threads.
    handled: AtomicU64,
    /// So many of them are worth a turn there.
    tell_after: AtomicU64,
    mailbox: Arc<Mailbox>,
}

/// What the thread is told to do.
#[derive(Default)]
struct Orders {
    /// The thread and those that give orders meet here for a move.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    orders: Vec<(Order, Sender<()>)>,
    is_over: bool,
}

type Order = Box<dyn FnOnce(&Site) + Send>;

impl IoThread {
    /// Starts a thread of this name with the site that `make` makes there.
    ///
    /// # Errors
    /// The error of `make`, or of starting a thread.
    pub fn start<E: From<io::Error> + Send + 'static>(
        name: String,
        telling: Arc<Telling>,
        make: impl FnOnce(Reactor) -> Result<Site, E> + Send + 'static,
    ) -> Result<Self, E> {
        let orders = Arc::new(Orders::default());
        let (made, is_made) = channel();
        let own = Arc::clone(&orders);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            block_signals();
            let _end = End(Arc::clone(&own));
            let site = Reactor::new().map_err(E::from).and_then(make);
            match site {
                Ok(site) => {
                    let _ = made.send(Ok(Arc::clone(site.reactor.mailbox())));
                    drop(made);
                    run(&site, &own, &telling);
                }
                Err(error) => drop(made.send(Err(error))),
            }
        })?;
        let mailbox = match is_made.recv() {
            Ok(made) => made?,
            Err(_) => return Err(io::Error::other("an I/O thread has ended early").into()),
        };
        Ok(Self {
            orders,
            mailbox,
            thread: Some(thread),
        })
    }

    /// Has the thread do something with its site, and run a turn after it; the receiver ends when both are done.
    pub fn order(&self, order: impl FnOnce(&Site) + Send + 'static) -> Receiver<()> {
        let (done, is_done) = channel();
        let mut state = lock(&self.orders.state);
        if !state.is_over {
            state.orders.push((Box::new(order), done));
        }
        drop(state);
        self.mailbox.signal();
        is_done
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        lock(&self.orders.state).is_over = true;
        self.mailbox.signal();
        if let Some(thread) = self.thread.take() {
            // A panic there has had its lines.
            let _ = thread.join();
        }
    }
}

impl Telling {
    /// To the thread of this mailbox.
    pub fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            handled: AtomicU64::new(0),
            tell_after: AtomicU64::new(u64::MAX),
            mailbox,
        }
    }

    /// Responses that have left.
    pub fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// Asks for a turn there once so many responses have left.
    pub fn tell_after(&self, count: u64) {
        self.tell_after.store(count, Ordering::Relaxed);
    }

    fn add(&self, count: u64) {
        let before = self.handled.fetch_add(count, Ordering::Relaxed);
        let bound = self.tell_after.load(Ordering::Relaxed);
        if before < bound && bound <= before + count {
            self.mailbox.signal();
        }
    }
}

/// Ends the waits of those that have given orders to a thread that is gone.
struct End(Arc<Orders>);

impl Drop for End {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.is_over = true;
        let orders = std::mem::take(&mut state.orders);
        drop(state);
        drop(orders);
    }
}

fn run(site: &Site, orders: &Orders, telling: &Telling) {
    let reactor = &site.reactor;
    let mut handled = 0;
    let mut has_more = false;
    loop {
        let (given, is_over) = {
            let mut state = lock(&orders.state);
            (std::mem::take(&mut state.orders), state.is_over)
        };
        if is_over {
            break reactor.clear();
        }
        let mut done = Vec::new();
        for (order, sender) in given {
            order(site);
            done.push(sender);
        }
        let time = match has_more || !done.is_empty() {
            true => Some(Duration::ZERO),
            false => wait_of(reactor),
        };
        has_more = reactor.turn_within(time);
        site.service.app.end_turn();
        site.publish();
        let now = site.service.handled.get();
        if now != handled {
            telling.add(now - handled);
            handled = now;
        }
        if site.is_draining() && site.connections() == 0 {
            telling.mailbox.signal();
        }
    }
}

/// The time until the next deadline.
fn wait_of(reactor: &Reactor) -> Option<Duration> {
    let next = reactor.next_deadline()?;
    Some(next.saturating_duration_since(Instant::now()))
}

/// Signals are for threads of Python's, whose sleep they end.
fn block_signals() {
    // SAFETY: both calls only write to the set, and change this thread's mask.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}
