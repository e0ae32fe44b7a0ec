//! Errors, by who erred: the peer, or the application.

use thiserror::Error;

/// What a peer did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PeerError {
    /// Not HTTP/1, or framing that can't be trusted.
    #[error("malformed message")]
    Malformed,
    /// The head, or the next piece of the body, did not come in time.
    #[error("timed out")]
    Timeout,
    /// The body is longer than allowed.
    #[error("body too large")]
    BodyTooLarge,
    /// The request target is longer than allowed.
    #[error("target too long")]
    TargetTooLong,
    /// An expectation other than 100-continue (RFC 9110, 10.1.1).
    #[error("unknown expectation")]
    UnknownExpectation,
    /// The head is larger, or has more fields, than allowed.
    #[error("head too large")]
    HeadTooLarge,
    /// A method or transfer coding that is not implemented.
    #[error("not implemented")]
    NotImplemented,
    /// A version other than HTTP/1.0 and 1.1.
    #[error("unknown version")]
    UnknownVersion,
}

impl PeerError {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::UnknownExpectation => 417,
            Self::HeadTooLarge => 431,
            Self::NotImplemented => 501,
            Self::UnknownVersion => 505,
        }
    }
}

/// What is wrong with a head that an application made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeadError {
    /// Outside 200 to 999, or 102 to 199 for informational heads.
    #[error("invalid status code")]
    Status,
    /// Characters that a reason phrase can't have.
    #[error("invalid reason phrase")]
    Reason,
    /// Not a token (RFC 9110, 5.6.2).
    #[error("invalid header name")]
    Name,
    /// Control characters (RFC 9110, 5.5).
    #[error("invalid header value")]
    Value,
    /// Not a number, or not the one given before.
    #[error("invalid content-length")]
    ContentLength,
}

/// What an application sent out of order or beyond its own head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// No final head was sent.
    #[error("no head was sent")]
    NotStarted,
    /// A final head was sent before.
    #[error("a head was sent before")]
    AlreadyStarted,
    /// More bytes than the content-length.
    #[error("body is longer than its content-length")]
    TooMuchBody,
    /// Fewer bytes than the content-length.
    #[error("body is shorter than its content-length")]
    TooLittleBody,
}
