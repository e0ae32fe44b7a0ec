//! Sockets, buffers, deadlines and the loop that drives one connection. Knows `App`, the trait
//! that applications are called through, but neither Python nor any interface.

pub(crate) mod app;
mod body;
mod bounds;
pub(crate) mod early;
pub(crate) mod exchange;
mod gate;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod io;
pub(crate) mod listener;
pub(crate) mod output;
pub(crate) mod protocol;
pub(crate) mod redirect;
pub(crate) mod reply;
mod semaphore;
pub(crate) mod service;
mod spool;
mod stall;
pub(crate) mod websocket;
pub(crate) mod ws;
