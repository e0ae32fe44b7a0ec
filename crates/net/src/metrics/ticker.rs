//! The ticker: measures how late an event loop comes to what is due.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::layout::{LAG, at};
use super::{Metrics, nanoseconds};
use crate::runtime::reactor::Reactor;

/// Ticks in `reactor` for as long as that lives: after [`INTERVAL`] each, later if its loop is busy with something else.
/// The page says when the next tick is due, so that a reader sees a loop that stands still.
///
/// # Errors
/// When there is no room for another task.
pub fn start(reactor: &Reactor, metrics: Rc<Metrics>) -> io::Result<()> {
    reactor.spawn(|handle| {
        let mut due = handle.now() + INTERVAL;
        metrics.set(at::TICK_DUE, metrics.time(due));
        Ok(poll_fn(move |_| {
            let now = handle.now();
            if now >= due {
                let late = nanoseconds(now - due);
                metrics.set(at::LOOP_LAG, late);
                metrics.observe(&LAG, late);
                due = now + INTERVAL;
                metrics.set(at::TICK_DUE, metrics.time(due));
            }
            handle.set_deadline(Some(due));
            Poll::<()>::Pending
        }))
    })
}

/// Time from tick to tick.
pub const INTERVAL: Duration = Duration::from_millis(500);
