//! Python callables behind `net::app::App`: the three interfaces, what they share, and the order
//! in which a response may be made.

pub(crate) mod access_log;
pub(crate) mod access_records;
pub(crate) mod asgi;
pub(crate) mod awaitable;
pub(crate) mod call;
pub(crate) mod calls;
mod closed;
pub(crate) mod coroutines;
pub(crate) mod fields;
mod file;
mod file_opening;
pub(crate) mod forked;
pub(crate) mod in_flight;
pub(crate) mod incoming;
mod making;
pub(crate) mod payload;
pub(crate) mod response;
pub(crate) mod room;
mod routes;
pub(crate) mod rsgi;
pub(crate) mod runner;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod watch;
pub(crate) mod ws_rules;
pub(crate) mod wsgi;
