//! `granian-net`: sockets, buffers, deadlines and the loops that drive connections. It knows `App`,
//! the trait that applications are called through, but neither Python nor an interface.

pub mod admission;
mod bounds;
mod budget;
pub mod close;
mod complaint;
mod crowd;
pub mod exchange;
mod expansion;
mod h1;
pub mod h2;
mod limit_counts;
pub mod limits;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod placement;
mod protocol;
pub mod proxies;
pub mod responders;
pub mod runtime;
pub mod service;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
mod transfer;
mod ws;
