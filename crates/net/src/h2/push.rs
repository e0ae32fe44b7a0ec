//! `Pushes`: requests that a connection's applications make in the client's place, from the promise
//! to the transfer (RFC 9113, 8.4 <https://www.rfc-editor.org/rfc/rfc9113#section-8.4>).
//!
//! The codec has two demands on a promised stream. The stream must exist when its promise leaves, and
//! it must not be reset before its response's head has left: the codec takes that reset for the client's
//! error. So the promise leaves, and later the head, before anything more is read and before any other
//! transfer goes on. `Pushes::leave_first` asks the connection for that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use granian_proto::RequestHead;

use super::respond::Respond;
use crate::transfer::Shared;

/// See the module's documentation. One per connection.
pub(super) struct Pushes {
    promised: RefCell<Vec<Promised>>,
    /// Promised streams whose `Place` is taken.
    open: Cell<usize>,
    /// Promised streams that the client takes at once.
    limit: Cell<usize>,
    shared: Rc<Shared>,
}

/// A request that was promised and not started.
pub(super) struct Promised {
    pub(super) head: Arc<RequestHead>,
    pub(super) respond: Respond,
    pub(super) place: Place,
}

/// One of the streams that the client takes at once, until dropped.
pub(super) struct Place(Rc<Pushes>);

impl Pushes {
    pub(super) fn new(shared: Rc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            promised: RefCell::default(),
            open: Cell::default(),
            limit: Cell::default(),
            shared,
        })
    }

    /// The state that the connection and its transfers share.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sets how many promised streams the client takes at once.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit.min(MAX_PUSHES));
    }

    /// True if the client takes promised streams.
    pub(super) fn are_accepted(&self) -> bool {
        self.limit.get() > 0
    }

    pub(super) fn add(&self, promised: Promised) {
        self.promised.borrow_mut().push(promised);
        self.leave_first();
    }

    /// The codec's output is to leave before anything else happens on the connection.
    pub(super) fn leave_first(&self) {
        self.shared.set_held(true);
    }

    /// Takes the promised requests. All promises have left.
    pub(super) fn take(&self) -> Vec<Promised> {
        self.shared.set_held(false);
        self.promised.take()
    }
}

impl Place {
    /// Takes a place; `None` if the client takes no more streams.
    pub(super) fn take(pushes: &Rc<Pushes>) -> Option<Self> {
        if pushes.open.get() >= pushes.limit.get() {
            return None;
        }
        pushes.open.set(pushes.open.get() + 1);
        Some(Self(Rc::clone(pushes)))
    }

    pub(super) fn pushes(&self) -> &Pushes {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = &self.0.open;
        open.set(open.get() - 1);
    }
}

/// Promised streams at once, for a client that sets no limit of its own.
const MAX_PUSHES: usize = 100;
