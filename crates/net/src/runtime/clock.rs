//! `Clock`: the time that a reactor lives in. It is the system's, unless a test stops it and moves it by hand.

use std::time::Instant;

#[cfg(test)]
use std::{cell::Cell, rc::Rc, time::Duration};

/// See the module's documentation. It takes no room outside of tests.
#[derive(Clone, Default)]
pub(crate) struct Clock {
    /// The time at which a test has stopped the clock. Clones share it.
    #[cfg(test)]
    stopped: Rc<Cell<Option<Instant>>>,
}

impl Clock {
    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        #[cfg(test)]
        if let Some(stopped) = self.stopped.get() {
            return stopped;
        }
        Instant::now()
    }

    /// Stops the clock, if it still goes, and moves it on by `time`.
    #[cfg(test)]
    pub(crate) fn advance(&self, time: Duration) {
        self.stopped.set(Some(self.now() + time));
    }
}
