//! What engines report to their caller, and the few values that the caller passes in.

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
    pub head: RequestHead,
    /// How long the body is going to be.
    pub body: BodyLength,
    /// The peer waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The peer offers to switch to a protocol named in its Upgrade field.
    pub upgrade: bool,
}

/// How long a request body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// This many bytes; never 0.
    Sized(u64),
    /// Unknown: it ends with the last chunk.
    Chunked,
}

/// What is known of a response body when its head is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// All of it is there.
    Length(u64),
    /// It comes bit by bit.
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

/// What a deadline that passed means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Nothing was under way: close without a word.
    Idle,
    /// The peer stopped in the middle of a request: refuse it.
    Refuse(PeerError),
}
