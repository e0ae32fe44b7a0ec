//! Responses as bytes: heads, chunk framing, and how the body of a response is delimited.

use super::terms::ResponseTerms;
use crate::error::{PeerError, SendError, retry_after};
use crate::event::Content;
use crate::head::Version;
use crate::plan::{Announced, ResponsePlan};
use crate::response::{ResponseHead, Trailers, reason};

/// The way in which the body of a response is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// The body is swallowed: no byte of it goes out.
    Swallow,
    /// Content-Length; the value counts the bytes left.
    Length(u64),
    /// Chunks; `is_open` between the size and the end of one.
    Chunked { is_open: bool },
    /// The end of the connection.
    Close,
}

/// The field of a head that announces the body's framing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FramingLine {
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    /// How the body of this response is delimited, and what its head says of that
    /// (RFC 9112, 6.3 <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>).
    pub(super) fn of(
        terms: &ResponseTerms,
        head: &ResponseHead,
        content: Content,
    ) -> (Self, FramingLine) {
        let declared = head.content_length();
        let plan = ResponsePlan::of(terms.is_head, head.status(), declared, content.whole());
        let line = match plan.announced {
            Announced::Nothing => FramingLine::None,
            Announced::Length(length) => FramingLine::Length(length),
            // HTTP/1.0 has no chunks (RFC 9112, 6.1).
            Announced::Stream if terms.version == Version::Http10 => FramingLine::None,
            Announced::Stream => FramingLine::Chunked,
        };
        let framing = match line {
            _ if plan.is_bodiless => Self::Swallow,
            FramingLine::Length(length) => Self::Length(length),
            FramingLine::Chunked => Self::Chunked { is_open: false },
            FramingLine::None => Self::Close,
        };
        (framing, line)
    }

    /// Goes before `len` bytes of the body. Returns how many of them go out.
    pub(super) fn begin_data(&mut self, len: u64, out: &mut Vec<u8>) -> Result<u64, SendError> {
        match self {
            Self::Swallow => return Ok(0),
            Self::Length(left) => {
                *left = left.checked_sub(len).ok_or(SendError::TooMuchBody)?;
            }
            Self::Chunked { is_open } if len > 0 => {
                end_chunk(is_open, out);
                *is_open = true;
                write_hex(len, out);
                out.extend_from_slice(b"\r\n");
            }
            // An empty chunk would be the last one.
            Self::Chunked { .. } | Self::Close => {}
        }
        Ok(len)
    }

    /// Goes behind the bytes that `begin_data` was called for.
    pub(super) fn end_data(&mut self, out: &mut Vec<u8>) {
        if let Self::Chunked { is_open } = self {
            end_chunk(is_open, out);
        }
    }

    /// Goes behind the body.
    pub(super) fn end(
        &mut self,
        trailers: Option<&Trailers>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self {
            Self::Length(0) | Self::Swallow | Self::Close => {}
            Self::Length(_) => return Err(SendError::TooLittleBody),
            Self::Chunked { is_open } => {
                end_chunk(is_open, out);
                out.extend_from_slice(b"0\r\n");
                out.extend_from_slice(trailers.map_or(&[], Trailers::lines));
                out.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// The fields that the engine adds to a head.
pub(super) struct Additions<'a> {
    pub(super) framing: FramingLine,
    pub(super) date: &'a [u8; 29],
    pub(super) connection: Option<&'static [u8]>,
}

/// The head of a final response.
pub(super) fn write_head(head: &ResponseHead, additions: &Additions<'_>, out: &mut Vec<u8>) {
    out.reserve(head.lines().len() + ADDITIONS_ROOM);
    write_status_line(head.status(), head.reason(), out);
    out.extend_from_slice(head.lines());
    match additions.framing {
        FramingLine::None => {}
        FramingLine::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        FramingLine::Length(length) => {
            write_line(
                b"content-length",
                itoa::Buffer::new().format(length).as_bytes(),
                out,
            );
        }
    }
    if !head.has_server() {
        out.extend_from_slice(b"server: granian\r\n");
    }
    if !head.has_date() {
        write_line(b"date", additions.date, out);
    }
    if let Some(connection) = additions.connection {
        write_line(b"connection", connection, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The head of an informational response. It has no framing, and nothing is added to it.
pub(super) fn write_informational(head: &ResponseHead, out: &mut Vec<u8>) {
    write_status_line(head.status(), head.reason(), out);
    out.extend_from_slice(head.lines());
    out.extend_from_slice(b"\r\n");
}

/// The head that hands the connection over to another protocol.
///
/// > A server that sends a 101 (Switching Protocols) response MUST send an Upgrade header field
/// > [...] A sender of Upgrade MUST also send an "Upgrade" connection option
/// > — RFC 9110, 7.8 <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>
pub(super) fn write_upgrade(
    head: &ResponseHead,
    protocol: &[u8],
    date: &[u8; 29],
    out: &mut Vec<u8>,
) {
    write_status_line(head.status(), head.reason(), out);
    write_line(b"connection", b"upgrade", out);
    write_line(b"upgrade", protocol, out);
    out.extend_from_slice(head.lines());
    if !head.has_date() {
        write_line(b"date", date, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// A whole response that says what the peer did wrong, and nothing else.
pub(super) fn write_refusal(error: PeerError, date: &[u8; 29], out: &mut Vec<u8>) {
    let status = error.status();
    write_status_line(status, reason(status).as_bytes(), out);
    // > A server that sends a 426 response MUST send an Upgrade header field — RFC 9110, 15.5.22
    // > [...] the server MUST abort the WebSocket handshake [...] and instead send an appropriate
    // > HTTP error code [...] and a |Sec-WebSocket-Version| header field — RFC 6455, 4.2.2
    if error == PeerError::WebSocketVersion {
        out.extend_from_slice(b"upgrade: websocket\r\nsec-websocket-version: 13\r\n");
    }
    if let Some(seconds) = retry_after(status) {
        write_line(b"retry-after", seconds.as_bytes(), out);
    }
    out.extend_from_slice(b"content-length: 0\r\n");
    write_line(b"date", date, out);
    out.extend_from_slice(b"connection: close\r\n\r\n");
}

/// > status-line = HTTP-version SP status-code SP [ reason-phrase ]
/// > — RFC 9112, 4 <https://www.rfc-editor.org/rfc/rfc9112#section-4>
fn write_status_line(status: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn end_chunk(is_open: &mut bool, out: &mut Vec<u8>) {
    if *is_open {
        out.extend_from_slice(b"\r\n");
        *is_open = false;
    }
}

fn write_hex(number: u64, out: &mut Vec<u8>) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        out.push(HEX_DIGITS[digit as usize]);
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Room for the lines that a head gets beside those of the application.
const ADDITIONS_ROOM: usize = 192;
