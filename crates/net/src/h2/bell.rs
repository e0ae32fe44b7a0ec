//! `Bell`: the waker that the codec and the streams of one connection get. While the connection
//! attends to them anyway it only takes a note; otherwise it wakes the connection's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Two threads can meet here: an application's, which makes replies, and the connection's.
pub(super) struct Bell {
    task: Waker,
    attended: AtomicBool,
    rang: AtomicBool,
}

impl Bell {
    pub(super) fn new(task: Waker) -> Arc<Self> {
        Arc::new(Self {
            task,
            attended: AtomicBool::new(false),
            rang: AtomicBool::new(false),
        })
    }

    /// The connection begins to attend.
    pub(super) fn attend(&self) {
        self.attended.store(true, Ordering::SeqCst);
    }

    /// The connection stops attending; its task is woken for what it has not seen.
    pub(super) fn leave(&self) {
        self.attended.store(false, Ordering::SeqCst);
        if self.take() {
            self.task.wake_by_ref();
        }
    }

    /// True if the bell has rung since it was asked last.
    pub(super) fn take(&self) -> bool {
        self.rang.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        if !self.attended.load(Ordering::SeqCst) {
            self.task.wake_by_ref();
        }
    }
}
