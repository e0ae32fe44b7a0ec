//! `Pushes`: requests that a connection's applications make in the client's place, from the promise
//! to the transfer (RFC 9113, 8.4 <https://www.rfc-editor.org/rfc/rfc9113#section-8.4>).
//!
//! The codec counts on a promised stream to be there when its promise leaves, and takes a reset that
//! comes before the response's head has left for the client's error. So both leave before anything
//! more is read and before any other transfer goes on: who makes them asks for that with
//! `leave_first`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use granian_proto::RequestHead;

use super::respond::Respond;
use super::shared::Shared;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Pushes {
    promised: RefCell<Vec<Promised>>,
    /// Promised streams that are not over.
    open: Cell<usize>,
    /// How many the client takes at once.
    limit: Cell<usize>,
    is_due: Cell<bool>,
}

/// A request that was promised and not started.
pub(super) struct Promised {
    pub(super) head: RequestHead,
    pub(super) respond: Respond,
    pub(super) place: Place,
}

/// One of the streams that the client takes at once, until dropped.
pub(super) struct Place(Rc<Shared>);

impl Pushes {
    /// The client takes as many streams as `limit`.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit.min(MAX_PUSHES));
    }

    /// True if the client takes any.
    pub(super) fn are_accepted(&self) -> bool {
        self.limit.get() > 0
    }

    pub(super) fn add(&self, promised: Promised) {
        self.promised.borrow_mut().push(promised);
        self.leave_first();
    }

    /// What the codec was handed is to leave before anything else happens.
    pub(super) fn leave_first(&self) {
        self.is_due.set(true);
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due.get()
    }

    /// What was promised. All of it has left.
    pub(super) fn take(&self) -> Vec<Promised> {
        self.is_due.set(false);
        self.promised.take()
    }
}

impl Place {
    /// `None` if the client takes no more.
    pub(super) fn take(shared: &Rc<Shared>) -> Option<Self> {
        let pushes = &shared.pushes;
        if pushes.open.get() >= pushes.limit.get() {
            return None;
        }
        pushes.open.set(pushes.open.get() + 1);
        Some(Self(Rc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = &self.0.pushes.open;
        open.set(open.get() - 1);
    }
}

/// Promised streams at once for a client that sets no limit, which is none by default.
const MAX_PUSHES: usize = 100;
