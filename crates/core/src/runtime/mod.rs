//! Threads and time: the reactor that owns sockets, tasks and timers, and its place on a Python
//! event loop. Knows nothing of HTTP.

mod backlog;
mod forks;
pub(crate) mod load;
pub(crate) mod python;
pub(crate) mod reactor;
mod readiness;
pub(crate) mod timers;
pub(crate) mod waker;
