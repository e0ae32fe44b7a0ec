//! `Event`: a step of the peer as an engine reports it; and the few values that the caller passes
//! in.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::PeerError;
use crate::head::RequestHead;
use crate::response::Trailers;

/// Something that came from the peer.
#[derive(Debug)]
pub enum Event {
    /// A whole, valid request head.
    Request(Request),
    /// A piece of the request body; never empty.
    Data(Bytes),
    /// The request body is complete. Follows every request, also one without a body.
    End(Option<Trailers>),
    /// The peer erred. Nothing more comes from this connection.
    Refused(PeerError),
}

/// A request, without its body.
#[derive(Debug)]
pub struct Request {
    /// Method, target and fields.
    pub head: Arc<RequestHead>,
    /// The length of the body.
    pub body: BodyLength,
    /// The peer waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The peer offers to switch to a protocol named in its Upgrade field.
    pub upgrade: bool,
}

/// The length of a request body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// This many bytes; never 0.
    Sized(u64),
    /// Unknown: it ends with the last chunk.
    Chunked,
}

/// The length of a response body, as far as it is known when the head is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// All of it is there.
    Length(u64),
    /// It arrives in pieces; the length is not known yet.
    Stream,
    /// There is none.
    None,
}

impl Content {
    /// Bytes of the body, if all of it is there.
    pub(crate) fn whole(self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(length),
            Self::None => Some(0),
            Self::Stream => None,
        }
    }
}

/// A deadline that has passed, by its consequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Nothing was under way: close without a word.
    Idle,
    /// The peer stopped in the middle of a request: refuse it.
    Refuse(PeerError),
}
