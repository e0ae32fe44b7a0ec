//! Threads and time: the reactor that owns sockets, tasks and timers. Knows nothing of HTTP.

mod clock;
mod deferred;
mod forks;
pub(crate) mod load;
pub mod pool;
pub mod reactor;
mod readiness;
pub(crate) mod ready;
pub mod timers;
pub mod waker;
