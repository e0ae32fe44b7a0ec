//! Which request may start now: the permits, the queue for them, and the limit that adapts to the load.

pub(crate) mod adaptive;
pub(crate) mod load;
pub mod queue;
