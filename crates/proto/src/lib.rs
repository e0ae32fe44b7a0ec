//! The rules of HTTP as granian keeps them: bytes in, events out. Contains no socket, clock,
//! thread or Python; time is an argument, and buffers belong to the caller.
#![forbid(unsafe_code)]

mod error;
mod event;
mod head;

pub mod h1;

pub use error::{HeadError, PeerError, SendError};
pub use event::{BodyLength, Content, Event, Request, Timeout};
pub use head::{RequestHead, ResponseHead, Trailers, Version};
