//! Threads and time: the reactor that owns sockets, tasks and timers. Knows nothing of HTTP.

mod clock;
mod deferred;
mod forks;
pub(crate) mod load;
#[cfg(test)]
#[cfg(feature = "model")]
pub(crate) mod model;
pub mod pool;
pub mod reactor;
mod readiness;
pub mod ready;
mod shares;
pub(crate) mod slice;
mod standing;
pub(crate) mod sync;
pub mod timers;
pub mod waker;
