//! Admission of requests: the permits, the queue for them, and the limit that adapts to the load.

pub(crate) mod adaptive;
mod counts;
pub mod line;
pub(crate) mod pace;
pub mod queue;
