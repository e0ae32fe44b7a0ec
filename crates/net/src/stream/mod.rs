//! The part of a connection that belongs to its socket: the stream, the bytes that wait to leave, and the clock of a peer
//! that takes none. Knows nothing of HTTP.

pub(crate) mod buffers;
mod disk;
pub(crate) mod early;
pub(crate) mod output;
pub mod reading;
pub mod region;
mod room;
#[cfg(target_os = "linux")]
mod silence;
pub(crate) mod socket;
pub(crate) mod stall;
pub(crate) mod wire;
