//! `Readiness`: the last news that the poller had of a task's socket.

use std::cell::Cell;

use mio::event::Event;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Readiness {
    readable: Cell<bool>,
    writable: Cell<bool>,
    hung_up: Cell<bool>,
    broken: Cell<bool>,
}

impl Readiness {
    /// The next read may give bytes.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable.get()
    }

    /// Input may have come since the poller was asked.
    pub(crate) fn assume_readable(&self) {
        self.readable.set(true);
    }

    /// A read found nothing more.
    pub(crate) fn clear_readable(&self) {
        self.readable.set(false);
    }

    /// The next write may take bytes.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable.get()
    }

    /// Nothing has been written yet.
    pub(crate) fn assume_writable(&self) {
        self.writable.set(true);
    }

    /// A write found no room.
    pub(crate) fn clear_writable(&self) {
        self.writable.set(false);
    }

    /// The peer has closed its sending side or the connection broke.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up.get()
    }

    /// The connection was reset or has failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Notes `event` of the poller.
    pub(super) fn note(&self, event: &Event) {
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.readable.set(true);
        }
        if event.is_writable() || event.is_error() {
            self.writable.set(true);
        }
        if event.is_read_closed() || event.is_error() {
            self.hung_up.set(true);
        }
        if event.is_error() {
            self.broken.set(true);
        }
    }
}
