//! Errors, by who erred: the peer (`PeerError`) or the application (`SendError`, `HeadError`).

use thiserror::Error;

/// An error of the peer. [`status`](Self::status) is the status of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A line ends with LF alone, or there are too many empty lines before a request.
    #[error("malformed line end")]
    LineEnd,
    /// The request line is none.
    #[error("malformed request line")]
    RequestLine,
    /// The request target has none of the forms allowed.
    #[error("malformed request target")]
    Target,
    /// A field line is malformed.
    #[error("malformed header field")]
    Field,
    /// The Host field is missing, repeated or malformed.
    #[error("missing, repeated or malformed Host")]
    Host,
    /// The Content-Length field is malformed or contradicts another one.
    #[error("malformed or contradictory Content-Length")]
    ContentLength,
    /// The length of the body can't be told from Transfer-Encoding.
    #[error("malformed or contradictory Transfer-Encoding")]
    TransferEncoding,
    /// The chunked framing of the body is broken.
    #[error("malformed chunk")]
    Chunk,
    /// The peer closed its side in the middle of a request.
    #[error("request cut off")]
    Truncated,
    /// The peer took too long.
    #[error("request not received in time")]
    TimedOut,
    /// The body came slower than the least rate.
    #[error("request body too slow")]
    TooSlow,
    /// The body is larger than the limit.
    #[error("request body too large")]
    BodyTooLarge,
    /// The body is to be kept whole, and larger than the limit for that.
    #[error("request body too large to be kept")]
    SpoolTooLarge,
    /// The body is to be kept whole, and those that are kept already leave it no room.
    #[error("no room for the request body beside others")]
    SpoolsTooLarge,
    /// The request target is longer than the limit.
    #[error("request target too long")]
    TargetTooLong,
    /// A request to open a WebSocket connection lacks what that needs.
    #[error("malformed WebSocket handshake")]
    Handshake,
    /// A request to open a WebSocket connection is of another version than 13.
    #[error("unknown WebSocket version")]
    WebSocketVersion,
    /// The Expect field asks for something unknown.
    #[error("unknown expectation")]
    Expectation,
    /// Head or trailers are larger than the limit.
    #[error("header fields too large")]
    HeadTooLarge,
    /// A decoded header section of HTTP/2 is larger than the limit.
    #[error("header section too large")]
    SectionTooLarge,
    /// Head or trailers have more fields than the limit.
    #[error("too many header fields")]
    TooManyFields,
    /// The method is not one that an origin server can perform.
    #[error("method not implemented")]
    Method,
    /// The body has a transfer coding besides `chunked`.
    #[error("transfer coding not implemented")]
    Coding,
    /// This server has no room to keep the body in.
    #[error("no room for the request body")]
    NoStorage,
    /// This server has more requests than it can answer in time.
    #[error("too many requests at once")]
    Overloaded,
    /// This server has not answered in time.
    #[error("response not complete in time")]
    Overdue,
    /// The protocol version is not 1.0 or 1.1.
    #[error("HTTP version not supported")]
    Version,
}

impl PeerError {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::LineEnd
            | Self::RequestLine
            | Self::Target
            | Self::Field
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk
            | Self::Handshake
            | Self::Truncated => 400,
            Self::TimedOut | Self::TooSlow => 408,
            Self::BodyTooLarge | Self::SpoolTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::WebSocketVersion => 426,
            Self::HeadTooLarge | Self::SectionTooLarge | Self::TooManyFields => 431,
            Self::Method | Self::Coding => 501,
            Self::Overloaded | Self::SpoolsTooLarge => 503,
            Self::Overdue => 504,
            Self::Version => 505,
            Self::NoStorage => 507,
        }
    }
}

/// A response that breaks the order or the length it promised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// No request awaits a response.
    #[error("no request awaits a response")]
    NoRequest,
    /// Body bytes or an end came before the head.
    #[error("the response was not started")]
    NotStarted,
    /// A head came after the head.
    #[error("the response was already started")]
    AlreadyStarted,
    /// More body bytes came than Content-Length says.
    #[error("the response body is longer than its content-length")]
    TooMuchBody,
    /// Fewer body bytes came than Content-Length says. The connection must be cut.
    #[error("the response body is shorter than its content-length")]
    TooLittleBody,
    /// The head's status doesn't fit the method it was passed to.
    #[error("the status is of another kind of response")]
    WrongStatus,
    /// The protocol can't be switched: it was not asked for, or the request's body is not read.
    #[error("the request can't be upgraded")]
    NotUpgradable,
    /// The connection was cut or switched to another protocol.
    #[error("the connection is closed for responses")]
    Closed,
}

/// A head or trailer that can't be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The status is out of range or of another kind of response.
    #[error("invalid status code {0}")]
    Status(u16),
    /// The reason phrase has characters that are not allowed.
    #[error("invalid characters in the reason phrase")]
    Reason,
    /// The name is not a token.
    #[error("invalid header name")]
    Name,
    /// The value has control characters.
    #[error("invalid characters in a header value")]
    Value,
    /// The path of a request does not begin with a slash.
    #[error("the path must begin with a slash")]
    Path,
    /// Content-Length is not a number, or not the one given before.
    #[error("invalid or contradictory content-length")]
    ContentLength,
    /// The field may not be a trailer.
    #[error("field not allowed in trailers")]
    Trailer,
}

/// The `retry-after` field of an answer that the server gives in the application's place, in seconds: an overloaded
/// worker names the shortest time.
///
/// > When sent with a 503 (Service Unavailable) response, Retry-After indicates how long the service is expected to be
/// > unavailable to the client. — RFC 9110, 10.2.3 <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
pub fn retry_after(status: u16) -> Option<&'static str> {
    (status == 503).then_some("1")
}
