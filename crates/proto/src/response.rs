//! `ResponseHead` and `Trailers`: fields of an application's answer. Each field is validated when
//! it is appended, and kept as the line that goes on the wire.

use crate::error::HeadError;
use crate::field::{FieldLines, is_value, list, parse_decimal};

/// Status, reason and fields of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    status: u16,
    reason: Option<Box<[u8]>>,
    lines: FieldLines,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
    asks_close: bool,
    route: u16,
}

impl ResponseHead {
    /// The head of a final response: 200 to 999.
    ///
    /// > Values outside the range 100..599 are invalid.
    /// > — RFC 9110, 15 <https://www.rfc-editor.org/rfc/rfc9110#section-15>
    ///
    /// Codes from 600 are passed on all the same: applications use them behind proxies of their
    /// own.
    pub fn new(status: u16) -> Result<Self, HeadError> {
        match status {
            200..=999 => Ok(Self::with_status(status)),
            _ => Err(HeadError::Status(status)),
        }
    }

    /// The head of an informational response: 102 to 199. The engines send 100 themselves.
    pub fn informational(status: u16) -> Result<Self, HeadError> {
        match status {
            102..=199 => Ok(Self::with_status(status)),
            _ => Err(HeadError::Status(status)),
        }
    }

    /// The head of the response that switches protocols: 101.
    pub fn switching_protocols() -> Self {
        Self::with_status(101)
    }

    /// Replaces the usual reason phrase. HTTP/1 only.
    ///
    /// > reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
    /// > — RFC 9112, 4 <https://www.rfc-editor.org/rfc/rfc9112#section-4>
    pub fn set_reason(&mut self, reason: &[u8]) -> Result<(), HeadError> {
        if !is_value(reason) {
            return Err(HeadError::Reason);
        }
        self.reason = (reason != self::reason(self.status).as_bytes()).then(|| reason.into());
        Ok(())
    }

    /// Appends a field. Fields about the connection are dropped, since the engine writes its own;
    /// `connection: close` is kept as a wish, which the engine follows.
    ///
    /// > intermediaries SHOULD remove or replace fields that are known to require removal before
    /// > forwarding, whether or not they appear as a connection-option
    /// > — RFC 9110, 7.6.1 <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        let Self {
            lines,
            content_length,
            has_date,
            has_server,
            asks_close,
            ..
        } = self;
        lines.append(name, value, |name, value| {
            match name {
                b"content-length" => {
                    let length = parse_decimal(value).map_err(|_| HeadError::ContentLength)?;
                    if content_length.is_some_and(|other| other != length) {
                        return Err(HeadError::ContentLength);
                    }
                    *content_length = Some(length);
                    return Ok(false);
                }
                b"connection" => {
                    *asks_close |= list(value).any(|token| token.eq_ignore_ascii_case(b"close"));
                    return Ok(false);
                }
                b"transfer-encoding" | b"keep-alive" | b"proxy-connection" | b"upgrade" => {
                    return Ok(false);
                }
                b"date" => *has_date = true,
                b"server" => *has_server = true,
                _ => {}
            }
            Ok(true)
        })
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase: the one set, or the usual one for the status.
    pub fn reason(&self) -> &[u8] {
        match &self.reason {
            Some(reason) => reason,
            None => reason(self.status).as_bytes(),
        }
    }

    /// The Content-Length that was appended. It is not among the fields.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Takes the Content-Length back: the body is not the application's.
    pub fn forget_content_length(&mut self) {
        self.content_length = None;
    }

    /// Whether a Date was appended.
    pub fn has_date(&self) -> bool {
        self.has_date
    }

    /// Whether a Server was appended.
    pub fn has_server(&self) -> bool {
        self.has_server
    }

    /// Whether `connection: close` was appended. It is not among the fields.
    pub fn asks_close(&self) -> bool {
        self.asks_close
    }

    /// The fields in order, names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter()
    }

    /// Bytes in memory, beside those of the value itself.
    pub fn weight(&self) -> usize {
        self.lines.weight() + self.reason.as_ref().map_or(0, |reason| reason.len())
    }

    pub(crate) fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    fn with_status(status: u16) -> Self {
        Self {
            status,
            reason: None,
            lines: FieldLines::with_capacity(LINES_CAPACITY),
            content_length: None,
            has_date: false,
            has_server: false,
            asks_close: false,
            route: 0,
        }
    }

    /// The number that [`set_route`](Self::set_route) has set, else 0.
    pub fn route(&self) -> u16 {
        self.route
    }

    /// Sets a number for those who count responses by the route of their request. It is no part of the message.
    pub fn set_route(&mut self, route: u16) {
        self.route = route;
    }
}

/// Fields that follow a body.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Trailers {
    lines: FieldLines,
}

impl Trailers {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field that may stand behind a body.
    ///
    /// > A sender MUST NOT generate a trailer field unless the sender knows the corresponding
    /// > header field name's definition permits the field to be sent in trailers.
    /// > — RFC 9110, 6.5.1 <https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1>
    ///
    /// The fields that are refused are about message framing, routing, request modifiers,
    /// authentication and content.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        self.lines.append(name, value, |name, _| match name {
            b"transfer-encoding"
            | b"content-length"
            | b"trailer"
            | b"te"
            | b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"upgrade"
            | b"host"
            | b"expect"
            | b"max-forwards"
            | b"cache-control"
            | b"range"
            | b"content-range"
            | b"content-type"
            | b"content-encoding"
            | b"authorization"
            | b"proxy-authorization"
            | b"www-authenticate"
            | b"proxy-authenticate"
            | b"cookie"
            | b"set-cookie" => Err(HeadError::Trailer),
            _ => Ok(true),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.as_bytes().is_empty()
    }

    /// Bytes of the fields as lines.
    pub fn weight(&self) -> usize {
        self.lines.as_bytes().len()
    }

    /// The fields in order, names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter()
    }

    pub(crate) fn lines(&self) -> &[u8] {
        self.lines.as_bytes()
    }
}

/// The usual reason phrase of a status; empty if there is none.
///
/// <https://www.iana.org/assignments/http-status-codes>
pub fn reason(status: u16) -> &'static str {
    match status {
        100..=199 => informational_reason(status),
        200..=299 => success_reason(status),
        300..=399 => redirection_reason(status),
        400..=499 => client_error_reason(status),
        _ => server_error_reason(status),
    }
}

fn informational_reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        104 => "Upload Resumption Supported",
        _ => "",
    }
}

fn success_reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        _ => "",
    }
}

fn redirection_reason(status: u16) -> &'static str {
    match status {
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        _ => "",
    }
}

fn client_error_reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

fn server_error_reason(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// Room for the fields of most responses.
const LINES_CAPACITY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_ranges() {
        for status in [200, 204, 599, 600, 999] {
            assert_eq!(ResponseHead::new(status).unwrap().status(), status);
        }
        for status in [0, 99, 100, 101, 103, 199, 1000, 65535] {
            assert_eq!(
                ResponseHead::new(status).err(),
                Some(HeadError::Status(status))
            );
        }
        for status in [102, 103, 199] {
            assert_eq!(
                ResponseHead::informational(status).unwrap().status(),
                status
            );
        }
        for status in [100, 101, 200] {
            assert!(ResponseHead::informational(status).is_err());
        }
        assert_eq!(ResponseHead::switching_protocols().status(), 101);
    }

    #[test]
    fn fields_of_the_connection_are_dropped() {
        let mut head = ResponseHead::new(200).unwrap();
        for name in [
            "Transfer-Encoding",
            "Keep-Alive",
            "Proxy-Connection",
            "Upgrade",
            "Connection",
        ] {
            head.append(name.as_bytes(), b"x").unwrap();
        }
        assert_eq!(head.fields().count(), 0);
        assert!(!head.asks_close());
        head.append(b"Connection", b"foo, Close").unwrap();
        assert!(head.asks_close());
        head.append(b"TE", b"x").unwrap();
        head.append(b"Trailer", b"x-t").unwrap();
        assert_eq!(head.lines(), b"te: x\r\ntrailer: x-t\r\n");
    }

    #[test]
    fn content_length() {
        let mut head = ResponseHead::new(200).unwrap();
        assert_eq!(head.content_length(), None);
        for bad in ["", "+1", "-1", "1,1", "a", "99999999999999999999"] {
            assert_eq!(
                head.append(b"content-length", bad.as_bytes()),
                Err(HeadError::ContentLength)
            );
        }
        head.append(b"Content-Length", b"12").unwrap();
        head.append(b"Content-Length", b" 12 ").unwrap();
        assert_eq!(
            head.append(b"content-length", b"13"),
            Err(HeadError::ContentLength)
        );
        assert_eq!(head.content_length(), Some(12));
        assert_eq!(head.lines(), b"");
    }

    #[test]
    fn flags_and_reasons() {
        let mut head = ResponseHead::new(404).unwrap();
        assert!(!head.has_date() && !head.has_server());
        head.append(b"Date", b"x").unwrap();
        head.append(b"Server", b"y").unwrap();
        assert!(head.has_date() && head.has_server());
        assert_eq!(head.reason(), b"Not Found");
        assert_eq!(head.set_reason(b"a\r\nb"), Err(HeadError::Reason));
        head.set_reason(b"Gone fishing").unwrap();
        assert_eq!(head.reason(), b"Gone fishing");
        assert_eq!(ResponseHead::new(599).unwrap().reason(), b"");
    }

    #[test]
    fn trailers() {
        let mut trailers = Trailers::new();
        assert!(trailers.is_empty());
        for name in ["Transfer-Encoding", "Content-Length", "Host", "Set-Cookie"] {
            assert_eq!(
                trailers.append(name.as_bytes(), b"1"),
                Err(HeadError::Trailer)
            );
        }
        assert_eq!(trailers.append(b"a b", b"1"), Err(HeadError::Name));
        trailers.append(b"X-Digest", b"abc").unwrap();
        let fields: Vec<_> = trailers.fields().collect();
        assert_eq!(fields, [(&b"x-digest"[..], &b"abc"[..])]);
    }
}
