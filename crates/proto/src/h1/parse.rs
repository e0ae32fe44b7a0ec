//! Request heads: received lines to a `Request`.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status, parse_headers};
use memchr::memchr;

use super::facts::Facts;
use super::lines::Lines;
use super::options::Options;
use super::target::{Split, split};
use super::terms::ResponseTerms;
use crate::error::PeerError;
use crate::event::{BodyLength, Request};
use crate::field::{is_token, is_token_byte};
use crate::head::{RequestHeadBuilder, Span, Version};

/// A head that is being received.
#[derive(Default)]
pub(super) struct HeadScan {
    lines: Lines,
    request_line: Option<RequestLine>,
    empty_lines: u8,
    is_started: bool,
}

/// A whole head, and the terms of the response to it.
pub(super) struct Parsed {
    pub(super) request: Request,
    pub(super) terms: ResponseTerms,
}

impl HeadScan {
    /// Whether something of a head is there.
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    /// Removes the head from the front of `input`, if it is complete. Errors are found in the order
    /// of the bytes, so that the pieces in which they arrive make no difference.
    pub(super) fn poll(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Parsed>, PeerError> {
        self.skip_empty_lines(input)?;
        match input[..] {
            [] | [b'\r'] => return Ok(None),
            [b'\n', ..] => return Err(PeerError::LineEnd),
            // Other protocols show at their first byte: TLS, HTTP/2 frames.
            [first, ..] if !is_token_byte(first) => return Err(PeerError::RequestLine),
            _ => self.is_started = true,
        }
        let request_line = match self.request_line {
            Some(request_line) => request_line,
            None => match self.find_request_line(input, options)? {
                Some(request_line) => *self.request_line.insert(request_line),
                None => return Ok(None),
            },
        };
        while let Some(line) = self.lines.next(input, options.max_head_size)? {
            if line.is_empty() {
                let end = self.lines.position();
                let count = self.lines.count() - 2;
                let parsed = parse(&input[..end], request_line, count)?;
                if let (BodyLength::Sized(length), Some(limit)) =
                    (parsed.request.body, options.max_body_size)
                    && length > limit
                {
                    return Err(PeerError::BodyTooLarge);
                }
                input.advance(end);
                return Ok(Some(parsed));
            }
            if self.lines.count() > options.max_fields + 1 {
                return Err(PeerError::TooManyFields);
            }
        }
        Ok(None)
    }

    /// > a server that is expecting to receive and parse a request-line SHOULD ignore at least one
    /// > empty line (CRLF) received prior to the request-line
    /// > — RFC 9112, 2.2 <https://www.rfc-editor.org/rfc/rfc9112#section-2.2>
    fn skip_empty_lines(&mut self, input: &mut BytesMut) -> Result<(), PeerError> {
        while input.starts_with(b"\r\n") {
            if self.empty_lines == MAX_EMPTY_LINES {
                return Err(PeerError::LineEnd);
            }
            self.empty_lines += 1;
            input.advance(2);
        }
        Ok(())
    }

    fn find_request_line(
        &mut self,
        input: &[u8],
        options: &Options,
    ) -> Result<Option<RequestLine>, PeerError> {
        let limit = options
            .max_head_size
            .min(options.max_target_size + REQUEST_LINE_SLACK);
        match self.lines.next(input, limit) {
            Ok(Some(line)) => {
                RequestLine::parse(&input[line], self.lines.position(), options).map(Some)
            }
            Ok(None) => Ok(None),
            Err(PeerError::HeadTooLarge) => Err(match memchr(b' ', &input[..limit]) {
                Some(end) if is_token(&input[..end]) => PeerError::TargetTooLong,
                _ => PeerError::RequestLine,
            }),
            Err(error) => Err(error),
        }
    }
}

/// The request line, its parts as places in the head.
#[derive(Clone, Copy)]
struct RequestLine {
    version: Version,
    method: Span,
    split: Split,
    /// The place where the fields start.
    end: usize,
}

impl RequestLine {
    /// > request-line = method SP request-target SP HTTP-version
    /// > — RFC 9112, 3 <https://www.rfc-editor.org/rfc/rfc9112#section-3>
    fn parse(line: &[u8], end: usize, options: &Options) -> Result<Self, PeerError> {
        let method_end = memchr(b' ', line).ok_or(PeerError::RequestLine)?;
        let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
        if !is_token(method) {
            return Err(PeerError::RequestLine);
        }
        let target_len = rest
            .len()
            .checked_sub(VERSION_LEN)
            .ok_or(PeerError::RequestLine)?;
        let (target, version) = rest.split_at(target_len);
        let version = parse_version(version)?;
        if target.len() > options.max_target_size {
            return Err(PeerError::TargetTooLong);
        }
        // > An origin server MAY accept a CONNECT request, but most origin servers do not implement
        // > CONNECT. — RFC 9110, 9.3.6
        //
        // 501 rather than 405: it says nothing of a resource, and needs no Allow field.
        if method == b"CONNECT" {
            return Err(PeerError::Method);
        }
        let split = split(method, target, method_end + 1)?;
        Ok(Self {
            version,
            method: Span::new(0..method_end),
            split,
            end,
        })
    }
}

/// > HTTP-version = HTTP-name "/" DIGIT "." DIGIT
/// > — RFC 9112, 2.3 <https://www.rfc-editor.org/rfc/rfc9112#section-2.3>
///
/// Minor versions above 1 ought to be taken for 1.1 (RFC 9110, 6.2). None exists, so whoever sends
/// one is not a client but a probe for disagreement between servers: it is refused.
fn parse_version(text: &[u8]) -> Result<Version, PeerError> {
    match text {
        b" HTTP/1.1" => Ok(Version::Http11),
        b" HTTP/1.0" => Ok(Version::Http10),
        [
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'0'..=b'9',
            b'.',
            b'0'..=b'9',
        ] => Err(PeerError::Version),
        _ => Err(PeerError::RequestLine),
    }
}

fn parse(block: &[u8], line: RequestLine, count: usize) -> Result<Parsed, PeerError> {
    let mut few = [EMPTY_HEADER; FEW_FIELDS];
    let mut many = Vec::new();
    let slots: &mut [Header<'_>] = if count <= FEW_FIELDS {
        &mut few
    } else {
        many.resize(count, EMPTY_HEADER);
        &mut many
    };
    let Ok(Status::Complete((_, fields))) = parse_headers(&block[line.end..], slots) else {
        return Err(PeerError::Field);
    };
    let mut bytes = Vec::with_capacity(block.len() + SCHEME_ROOM);
    bytes.extend_from_slice(block);
    let mut head = RequestHeadBuilder::from_block(line.version, bytes, fields.len());
    head.set_line(line.method, line.split.target);
    if let Some(scheme) = line.split.scheme {
        head.set_scheme(scheme.name());
    }
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - block.as_ptr() as usize;
        Span::new(start..start + part.len())
    };
    let mut facts = Facts::default();
    for field in fields {
        let name = place(field.name.as_bytes());
        // > When an origin server receives a request with an absolute-form of request-target, the
        // > origin server MUST ignore the received Host header field (if any) and instead use the
        // > host information of the request-target.
        // > — RFC 9112, 3.2.2 <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>
        if let Some(authority) = line.split.target.authority
            && field.name.eq_ignore_ascii_case("host")
        {
            facts.note(b"host", field.value)?;
            head.append_spans(name, authority);
            continue;
        }
        let (name, value) = head.append_spans(name, place(field.value));
        facts.note(name, value)?;
    }
    let body = facts.body_length(line.version)?;
    facts.check_host(line.version)?;
    let expect_continue = facts.expects_continue(line.version)? && body != BodyLength::Empty;
    let terms = ResponseTerms {
        version: line.version,
        is_head: &block[line.method.range()] == b"HEAD",
        keep_alive: facts.keeps_alive(line.version),
        awaits_continue: expect_continue,
    };
    let upgrade = facts.offers_upgrade(line.version);
    Ok(Parsed {
        request: Request {
            head: Arc::new(head.build()),
            body,
            expect_continue,
            upgrade,
        },
        terms,
    })
}

/// ` HTTP/1.1`
const VERSION_LEN: usize = 9;
/// Room for a method and a version beside a target of the greatest size.
const REQUEST_LINE_SLACK: usize = 256;
const MAX_EMPTY_LINES: u8 = 16;
/// Heads of up to this many fields are parsed without a further allocation.
const FEW_FIELDS: usize = 32;
/// Room for the scheme of an absolute target behind the head.
const SCHEME_ROOM: usize = 8;
