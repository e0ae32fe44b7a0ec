//! The rules of HTTP, without sockets, clock, threads or Python: received bytes and points in time
//! go in, events and bytes to send come out.
//!
//! - [`h1::Connection`] is the engine of one HTTP/1.x server connection.
//! - [`ws::Connection`] is the engine of one WebSocket connection, [`ws::Handshake`] opens it.
//! - [`h2::FrameWatch`] bounds what an HTTP/2 peer may send besides what the codec bounds;
//!   [`h2::upgraded_request`] makes its request of one of HTTP/1.1 that asks for the upgrade;
//!   [`h2::Promise`] is one that a server makes in its client's place.
//! - [`Event`] is what engines report; [`Request`] and [`RequestHead`] are what they found.
//! - [`ResponseHead`] and [`Trailers`] are validated when made, so that no engine meets a bad one.
//! - [`ResponsePlan`] says which response has a body and how long that is.
//! - [`PeerError`] says what the peer did wrong, [`SendError`] and [`HeadError`] what the
//!   application did.

#![forbid(unsafe_code)]

mod error;
mod event;
mod field;
pub mod h1;
pub mod h2;
mod head;
mod plan;
mod response;
pub mod ws;

pub use error::{HeadError, PeerError, SendError};
pub use event::{BodyLength, Content, Event, Request, Timeout};
pub use head::{RequestHead, RequestHeadBuilder, Version};
pub use plan::{Announced, ResponsePlan};
pub use response::{ResponseHead, Trailers, reason};
