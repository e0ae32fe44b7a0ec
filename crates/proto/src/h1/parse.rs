//! Request heads: from bytes to a [`RequestHead`] and its framing, or to what is wrong with it.

use httparse::{EMPTY_HEADER, Header, Status};

use super::Options;
use crate::error::PeerError;
use crate::event::BodyLength;
use crate::head::{RequestHead, Span, Version, has_token, parse_length};

/// A head and what it says of the message and the connection.
pub(super) struct Parsed {
    pub(super) head: RequestHead,
    /// Bytes of input that the head took.
    pub(super) len: usize,
    pub(super) body: BodyLength,
    pub(super) expect_continue: bool,
    pub(super) upgrade: bool,
    pub(super) keep_alive: bool,
}

/// Parses a head from the whole lines in `input`. `None` if its end has not come.
///
/// Only whole lines are looked at, so that the outcome does not depend on how they arrived.
pub(super) fn parse(input: &[u8], options: &Options) -> Result<Option<Parsed>, PeerError> {
    let lines = match memchr::memrchr(b'\n', input) {
        Some(end) => &input[..=end],
        None => &[],
    };
    let mut few = [EMPTY_HEADER; FEW_FIELDS];
    let mut many;
    let mut request = httparse::Request::new(&mut few);
    let mut result = request.parse(lines);
    if matches!(result, Err(httparse::Error::TooManyHeaders)) && options.max_fields > FEW_FIELDS {
        many = vec![EMPTY_HEADER; options.max_fields];
        request = httparse::Request::new(&mut many);
        result = request.parse(lines);
    }
    match result {
        Ok(Status::Complete(len)) => {
            check_lines(&input[..len])?;
            if len > options.max_head_size {
                return Err(PeerError::HeadTooLarge);
            }
            build(&request, len, options).map(Some)
        }
        Ok(Status::Partial) => check_size(input, options).map(|()| None),
        Err(error) => Err(refusal(error, lines)),
    }
}

/// The size of a head that has not ended, as far as it has come.
fn check_size(input: &[u8], options: &Options) -> Result<(), PeerError> {
    if memchr::memchr(b'\n', input.trim_ascii_start()).is_none()
        && input.len() > options.max_target_size + REQUEST_LINE_EXTRA
    {
        return Err(PeerError::TargetTooLong);
    }
    if input.len() > options.max_head_size { Err(PeerError::HeadTooLarge) } else { Ok(()) }
}

fn refusal(error: httparse::Error, lines: &[u8]) -> PeerError {
    match error {
        httparse::Error::TooManyHeaders => PeerError::HeadTooLarge,
        httparse::Error::Version if has_http_version(lines) => PeerError::UnknownVersion,
        _ => PeerError::Malformed,
    }
}

/// True if the request line ends in an HTTP version, whichever.
fn has_http_version(lines: &[u8]) -> bool {
    let line = lines.trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Every line ends in CRLF. A recipient may take a bare LF (RFC 9112, 2.2); this one does not, so
/// that no intermediary can see other lines than it does.
fn check_lines(head: &[u8]) -> Result<(), PeerError> {
    let bare = memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r');
    if bare { Err(PeerError::Malformed) } else { Ok(()) }
}

fn build(
    request: &httparse::Request<'_, '_>,
    len: usize,
    options: &Options,
) -> Result<Parsed, PeerError> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(PeerError::Malformed);
    };
    if target.len() > options.max_target_size {
        return Err(PeerError::TargetTooLong);
    }
    if !target.is_ascii() {
        return Err(PeerError::Malformed);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let framing = Framing::read(request.headers, version, options)?;
    let mut head = RequestHead {
        version,
        bytes: Vec::with_capacity(len),
        method_len: method.len() as u32,
        target: Span::default(),
        scheme: Span::default(),
        authority: Span::default(),
        path: Span::default(),
        query: Span::default(),
        fields: Vec::with_capacity(request.headers.len()),
    };
    head.bytes.extend_from_slice(method.as_bytes());
    head.target = push(&mut head.bytes, target.as_bytes());
    split_target(&mut head)?;
    for field in request.headers.iter() {
        let name = push(&mut head.bytes, field.name.as_bytes());
        head.bytes[name.start as usize..].make_ascii_lowercase();
        let value = push(&mut head.bytes, field.value.trim_ascii());
        head.fields.push((name, value));
    }
    Ok(Parsed {
        head,
        len,
        body: framing.body,
        expect_continue: framing.expect_continue,
        upgrade: framing.has_upgrade && framing.connection_upgrade,
        keep_alive: framing.keep_alive,
    })
}

fn push(bytes: &mut Vec<u8>, more: &[u8]) -> Span {
    let start = bytes.len() as u32;
    bytes.extend_from_slice(more);
    Span { start, end: bytes.len() as u32 }
}

/// Splits the target by its form (RFC 9112, 3.2).
fn split_target(head: &mut RequestHead) -> Result<(), PeerError> {
    let Span { start, end } = head.target;
    let method = &head.bytes[..head.method_len as usize];
    let target = &head.bytes[start as usize..end as usize];
    // A server that is no proxy has no tunnel to offer (RFC 9110, 9.3.6).
    if method == b"CONNECT" {
        return Err(PeerError::NotImplemented);
    }
    let mut path_start = start;
    match target {
        b"*" if method == b"OPTIONS" => {}
        [b'/', ..] => {}
        target => {
            let scheme_len = match target {
                [b'h' | b'H', b't' | b'T', b't' | b'T', b'p' | b'P', b':', b'/', b'/', ..] => 4,
                [b'h' | b'H', b't' | b'T', b't' | b'T', b'p' | b'P', b's' | b'S', b':', b'/', b'/', ..] => 5,
                _ => return Err(PeerError::Malformed),
            };
            let authority_start = scheme_len + 3;
            let rest = &target[authority_start..];
            let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
            let len = len.unwrap_or(rest.len());
            if len == 0 {
                return Err(PeerError::Malformed);
            }
            let authority_start = start + authority_start as u32;
            head.scheme = Span { start, end: start + scheme_len as u32 };
            path_start = authority_start + len as u32;
            head.authority = Span { start: authority_start, end: path_start };
        }
    }
    let rest = &head.bytes[path_start as usize..end as usize];
    let rest_len = memchr::memchr(b'#', rest).unwrap_or(rest.len());
    let rest_end = path_start + rest_len as u32;
    let path_len = memchr::memchr(b'?', &rest[..rest_len]);
    let path_end = path_len.map_or(rest_end, |len| path_start + len as u32);
    head.path = Span { start: path_start, end: path_end };
    head.query = Span { start: rest_end.min(path_end + 1), end: rest_end };
    Ok(())
}

/// What the fields say of framing and persistence.
struct Framing {
    body: BodyLength,
    expect_continue: bool,
    has_upgrade: bool,
    connection_upgrade: bool,
    keep_alive: bool,
}

#[derive(Default)]
struct Seen {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    encoding: bool,
    upgrade: bool,
    expect_continue: bool,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
}

impl Framing {
    fn read(
        fields: &[Header<'_>],
        version: Version,
        options: &Options,
    ) -> Result<Self, PeerError> {
        let mut seen = Seen::default();
        for field in fields {
            seen.add(field, version)?;
        }
        // "A server MUST respond with a 400 status code to any HTTP/1.1 request message that
        // lacks a Host header field" (RFC 9112, 3.2)
        if !seen.host && version == Version::Http11 {
            return Err(PeerError::Malformed);
        }
        let body = match (seen.encoding, seen.length) {
            // Both together ought to be handled as an error (RFC 9112, 6.1): smuggling.
            (true, Some(_)) => return Err(PeerError::Malformed),
            (true, None) if version == Version::Http10 => return Err(PeerError::Malformed),
            (true, None) => BodyLength::Chunked,
            (false, None | Some(0)) => BodyLength::Empty,
            (false, Some(length)) => BodyLength::Sized(length),
        };
        if let (BodyLength::Sized(length), Some(limit)) = (body, options.max_body_size)
            && length > limit
        {
            return Err(PeerError::BodyTooLarge);
        }
        Ok(Self {
            body,
            expect_continue: seen.expect_continue && body != BodyLength::Empty,
            has_upgrade: seen.upgrade && version == Version::Http11,
            connection_upgrade: seen.connection_upgrade,
            keep_alive: !seen.close && (version == Version::Http11 || seen.keep_alive),
        })
    }
}

impl Seen {
    fn add(&mut self, field: &Header<'_>, version: Version) -> Result<(), PeerError> {
        let value = field.value.trim_ascii();
        let name = field.name;
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => {
                if std::mem::replace(&mut self.host, true) || !is_host(value) {
                    return Err(PeerError::Malformed);
                }
            }
            14 if is("content-length") => {
                let length = parse_length(value).ok_or(PeerError::Malformed)?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(PeerError::Malformed);
                }
                self.length = Some(length);
            }
            17 if is("transfer-encoding") => {
                self.encoding = true;
                if self.chunked || !ends_in_chunked(value) {
                    return Err(PeerError::Malformed);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(PeerError::NotImplemented);
                }
                self.chunked = true;
            }
            10 if is("connection") => {
                self.close |= has_token(value, b"close");
                self.keep_alive |= has_token(value, b"keep-alive");
                self.connection_upgrade |= has_token(value, b"upgrade");
            }
            7 if is("upgrade") => self.upgrade = true,
            6 if is("expect") && version == Version::Http11 => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(PeerError::UnknownExpectation);
                }
                self.expect_continue = true;
            }
            _ => {}
        }
        Ok(())
    }
}

fn ends_in_chunked(value: &[u8]) -> bool {
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// Characters of `uri-host [ ":" port ]` (RFC 9110, 7.2); empty for targets without authority.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
    })
}

/// As many fields as fit on the stack; most requests have fewer.
const FEW_FIELDS: usize = 64;
/// Method, version and spaces of a request line.
const REQUEST_LINE_EXTRA: usize = 64;
