//! Wakers: code on any thread tells a reactor that one of its tasks can go on.
//!
//! A wake-up on the reactor's own thread, inside a turn or a call from Python code, costs one push.
//! Any other one also makes the poller's descriptor readable.

use std::sync::{Arc, PoisonError};
use std::task::{Context, Wake, Waker};

#[cfg(not(feature = "model"))]
use mio::Waker as Poller;

#[cfg(not(feature = "model"))]
use super::sync::MutexGuard;
#[cfg(feature = "model")]
use super::sync::Poller;
use super::sync::{AtomicBool, Mutex, Ordering};

/// The state that wakers of every thread share with their reactor.
pub struct Mailbox {
    /// Keys of woken tasks. The lock is for a waker's thread and the reactor's; it is held for a
    /// push or a swap.
    woken: Mutex<Vec<usize>>,
    /// The reactor's thread is inside a turn (or about to run one): no need to signal.
    is_polled: AtomicBool,
    /// The poller's descriptor is readable for a signal that `acknowledge` has not seen yet.
    signalled: AtomicBool,
    home: usize,
    poller: Poller,
}

/// Reactors work in no model, but compile.
#[cfg(feature = "model")]
impl From<mio::Waker> for Poller {
    fn from(_: mio::Waker) -> Self {
        Self::new()
    }
}

impl Mailbox {
    /// A mailbox for the reactor of the calling thread.
    pub fn new(poller: impl Into<Poller>) -> Self {
        Self {
            woken: Mutex::new(Vec::new()),
            is_polled: AtomicBool::new(false),
            signalled: AtomicBool::new(false),
            home: thread_token(),
            poller: poller.into(),
        }
    }

    /// True on the thread that owns the reactor.
    pub fn is_home(&self) -> bool {
        self.home == thread_token()
    }

    /// Marks the reactor's thread as attending, and says whether it already was.
    pub fn set_polled(&self, is_polled: bool) -> bool {
        self.is_polled.swap(is_polled, Ordering::SeqCst)
    }

    /// Moves the keys of woken tasks to the end of `into`.
    pub fn collect(&self, into: &mut std::collections::VecDeque<usize>) {
        let mut woken = lock(&self.woken);
        into.extend(woken.drain(..));
    }

    /// True while woken tasks wait to be collected.
    pub fn has_mail(&self) -> bool {
        !lock(&self.woken).is_empty()
    }

    /// Makes the poller's descriptor readable, once until `acknowledge`.
    pub fn signal(&self) {
        if !self.signalled.swap(true, Ordering::SeqCst) {
            // Fails only when the kernel's counter is full, and then the descriptor is readable.
            let _ = self.poller.wake();
        }
    }

    /// The reactor saw the signal.
    pub fn acknowledge(&self) {
        self.signalled.swap(false, Ordering::SeqCst);
    }

    fn post(&self, key: usize) {
        lock(&self.woken).push(key);
        if !(self.is_polled.load(Ordering::SeqCst) && self.is_home()) {
            self.signal();
        }
    }
}

/// Wakes one task of one reactor.
pub struct TaskWaker {
    mailbox: Arc<Mailbox>,
    key: usize,
    /// The task is in the mailbox or the run queue already, and further wake-ups change nothing.
    queued: AtomicBool,
}

impl TaskWaker {
    /// Wakes the task `key` of the mailbox's reactor.
    pub fn new(mailbox: Arc<Mailbox>, key: usize) -> Self {
        Self {
            mailbox,
            key,
            queued: AtomicBool::new(false),
        }
    }

    /// Marks the task as queued, and says whether it already was.
    pub fn mark_queued(&self) -> bool {
        self.queued.swap(true, Ordering::SeqCst)
    }

    /// The task is about to be polled: wake-ups from now on count again. The poll sees what threads wrote before those
    /// that came until now, also where these changed nothing: a swap reads their marks, a store would not.
    pub fn clear_queued(&self) {
        self.queued.swap(false, Ordering::SeqCst);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.mark_queued() {
            self.mailbox.post(self.key);
        }
    }
}

/// A number that differs between live threads, at the cost of one thread-local address.
pub fn thread_token() -> usize {
    #[cfg(not(feature = "model"))]
    thread_local!(static TOKEN: u8 = const { 0 });
    #[cfg(feature = "model")]
    loom::thread_local!(static TOKEN: u8 = 0);
    TOKEN.with(|token| std::ptr::from_ref(token) as usize)
}

/// Locks `mutex`; a panic elsewhere does not take the data away from everybody else.
#[cfg(not(feature = "model"))]
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See above. Not all locks are modelled.
#[cfg(feature = "model")]
pub fn lock<M: super::sync::Lock>(mutex: &M) -> M::Guard<'_> {
    mutex.locked().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the waker of `cx` to the list, unless it is there already.
pub fn register(waiters: &mut Vec<Waker>, cx: &mut Context<'_>) {
    if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
        waiters.push(cx.waker().clone());
    }
}

/// Wakes the waker, if there is one.
pub fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The same for any number of them, outside the lock as well.
#[inline]
pub fn wake_all(wakers: Vec<Waker>) {
    // There is seldom one: no loop is set up for none.
    if !wakers.is_empty() {
        wakers.into_iter().for_each(Waker::wake);
    }
}
