//! What a connection tells its caller, for every version of HTTP.

use bytes::Bytes;

use crate::error::PeerError;
use crate::head::{RequestHead, Trailers};

/// Something that a peer sent.
#[derive(Debug)]
pub enum Event {
    /// A whole, valid head.
    Request(Request),
    /// A piece of the body, never empty.
    Data(Bytes),
    /// The request is complete.
    End(Option<Trailers>),
    /// The peer erred; no event follows.
    Refused(PeerError),
}

/// A request without its body.
#[derive(Debug)]
pub struct Request {
    /// Request line and fields.
    pub head: RequestHead,
    /// How its body is delimited.
    pub body: BodyLength,
    /// The peer waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The peer asks for another protocol; which one is in the `upgrade` field.
    pub upgrade: bool,
}

/// How long a request's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// Known from the head.
    Sized(u64),
    /// Known at its end.
    Chunked,
}

/// What is known of a response's body when its head leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Its length in bytes.
    Length(u64),
    /// Nothing.
    Stream,
}

/// What to do about a deadline that has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Close: nothing was under way.
    Idle,
    /// Refuse, then close.
    Refuse(PeerError),
}
