//! The rules of HTTP, without sockets, clock, threads or Python: received bytes and points in time
//! go in, events and bytes to send come out.
//!
//! - [`h1::Connection`] is the engine of one HTTP/1.x server connection.
//! - [`ws::Connection`] is the engine of one WebSocket connection, [`ws::Handshake`] opens it.
//! - [`h2::FrameWatch`] bounds an HTTP/2 peer where the codec does not. [`h2::upgraded_request`]
//!   turns an HTTP/1.1 request that asks for the upgrade into one of HTTP/2. [`h2::Promise`] is a
//!   pushed request.
//! - [`Event`] is a report of an engine; [`Request`] and [`RequestHead`] are a request as it found
//!   it.
//! - [`ResponseHead`] and [`Trailers`] are validated when made, so that no engine meets a bad one.
//! - [`percent`] decodes request targets.
//! - [`file`] has the rules of requests for stored files.
//! - [`Pace`] is the clock of a request's body.
//! - [`proxy`] has the rules of reverse proxies: which are believed, `X-Forwarded-…`, `Forwarded`, the PROXY protocol.
//! - [`is_request_id`] and [`trace_id`] check the names that requests bring along.
//! - [`ResponsePlan`] says which response has a body and how long that is.
//! - [`PeerError`] is an error of the peer; [`SendError`] and [`HeadError`] are errors of the
//!   application.

#![forbid(unsafe_code)]

mod error;
mod event;
mod field;
pub mod file;
pub mod h1;
pub mod h2;
mod head;
mod pace;
pub mod percent;
mod plan;
pub mod proxy;
mod response;
mod trace;
pub mod ws;

pub use error::{HeadError, PeerError, SendError, retry_after};
pub use event::{BodyLength, Content, Event, Request, Timeout};
pub use head::{RequestHead, RequestHeadBuilder, Version};
pub use pace::{Pace, PaceBounds};
pub use plan::{Announced, ResponsePlan};
pub use response::{ResponseHead, Trailers, reason};
pub use trace::{is_request_id, trace_id};
