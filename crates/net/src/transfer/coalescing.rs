//! `CoalescingWaker`: the waker that the streams of one connection get. While the connection polls them
//! anyway, a wake only leaves a note; otherwise it wakes the connection's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Two threads can meet here: an application's, which makes replies, and the connection's.
pub(crate) struct CoalescingWaker {
    task: Waker,
    is_polling: AtomicBool,
    was_woken: AtomicBool,
}

impl CoalescingWaker {
    pub(crate) fn new(task: Waker) -> Arc<Self> {
        Arc::new(Self {
            task,
            is_polling: AtomicBool::new(false),
            was_woken: AtomicBool::new(false),
        })
    }

    /// The connection begins to poll what wakes it through here.
    pub(crate) fn begin(&self) {
        self.is_polling.store(true, Ordering::SeqCst);
    }

    /// The connection stops polling; its task is woken for a note that it has not taken.
    pub(crate) fn end(&self) {
        self.is_polling.store(false, Ordering::SeqCst);
        if self.take_note() {
            self.task.wake_by_ref();
        }
    }

    /// True if there was a wake since this was asked last.
    pub(crate) fn take_note(&self) -> bool {
        self.was_woken.swap(false, Ordering::SeqCst)
    }
}

impl Wake for CoalescingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.was_woken.store(true, Ordering::SeqCst);
        if !self.is_polling.load(Ordering::SeqCst) {
            self.task.wake_by_ref();
        }
    }
}
