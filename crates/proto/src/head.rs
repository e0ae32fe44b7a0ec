//! Heads: what a peer asked, and what an application answers.

use crate::error::HeadError;

/// A version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// A request line and its fields, in one buffer of their own.
#[derive(Debug)]
pub struct RequestHead {
    pub(crate) version: Version,
    /// Method, target, then names (lower-case) and values.
    pub(crate) bytes: Vec<u8>,
    pub(crate) method_len: u32,
    pub(crate) target: Span,
    pub(crate) scheme: Span,
    pub(crate) authority: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
    pub(crate) fields: Vec<(Span, Span)>,
}

/// A range of a head's bytes; empty for what is absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl RequestHead {
    /// The version that the peer speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The method as received, case kept.
    pub fn method(&self) -> &str {
        str::from_utf8(self.bytes.get(..self.method_len as usize).unwrap_or_default())
            .unwrap_or_default()
    }

    /// The request target as received.
    pub fn target(&self) -> &[u8] {
        self.slice(self.target)
    }

    /// The target's path, percent-encoded as received, without query and fragment; `*` for
    /// `OPTIONS *`.
    pub fn path(&self) -> &[u8] {
        match self.slice(self.path) {
            [] => b"/",
            path => path,
        }
    }

    /// The target's query as received, empty if there is none.
    pub fn query(&self) -> &[u8] {
        self.slice(self.query)
    }

    /// The authority of an absolute target.
    pub fn authority(&self) -> Option<&str> {
        self.text(self.authority)
    }

    /// The scheme of an absolute target.
    pub fn scheme(&self) -> Option<&str> {
        self.text(self.scheme)
    }

    /// Names, lower-case, and values, in the order they came.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (self.slice(*name), self.slice(*value)))
    }

    /// The first value of the field `name`, which must be lower-case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn text(&self, span: Span) -> Option<&str> {
        str::from_utf8(self.slice(span)).ok().filter(|text| !text.is_empty())
    }
}

/// A status line and fields, validated, the latter in wire form.
#[derive(Debug)]
pub struct ResponseHead {
    status: u16,
    pub(crate) reason: Option<Box<[u8]>>,
    pub(crate) lines: Vec<u8>,
    content_length: Option<u64>,
    pub(crate) has_date: bool,
    pub(crate) has_server: bool,
    pub(crate) close: bool,
}

impl ResponseHead {
    /// A final head.
    ///
    /// # Errors
    /// `Status` outside 200 to 999.
    pub fn new(status: u16) -> Result<Self, HeadError> {
        if (200..=999).contains(&status) { Ok(Self::with(status)) } else { Err(HeadError::Status) }
    }

    /// An informational head.
    ///
    /// # Errors
    /// `Status` outside 102 to 199: 100 and 101 are the connection's own.
    pub fn informational(status: u16) -> Result<Self, HeadError> {
        if (102..=199).contains(&status) { Ok(Self::with(status)) } else { Err(HeadError::Status) }
    }

    fn with(status: u16) -> Self {
        Self {
            status,
            reason: None,
            lines: Vec::with_capacity(128),
            content_length: None,
            has_date: false,
            has_server: false,
            close: false,
        }
    }

    /// Sets the reason phrase; by default the registered one.
    ///
    /// # Errors
    /// `Reason` for control characters.
    pub fn set_reason(&mut self, reason: &[u8]) -> Result<(), HeadError> {
        if !reason.iter().all(|byte| is_value_byte(*byte)) {
            return Err(HeadError::Reason);
        }
        self.reason = Some(reason.into());
        Ok(())
    }

    /// Appends a field. Fields that concern the connection (RFC 9110, 7.6.1) are the server's and
    /// are left out, but `connection: close` is obeyed.
    ///
    /// # Errors
    /// `Name`, `Value` or `ContentLength`.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        let value = value.trim_ascii();
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(HeadError::Value);
        }
        let start = self.lines.len();
        append_name(&mut self.lines, name)?;
        let name = self.lines.get(start..).unwrap_or_default();
        match name.len() {
            14 if name == b"content-length" => {
                if let Err(error) = self.set_content_length(value) {
                    self.lines.truncate(start);
                    return Err(error);
                }
            }
            4 if name == b"date" => self.has_date = true,
            6 if name == b"server" => self.has_server = true,
            10 if name == b"connection" || name == b"keep-alive" => {
                self.close |= name == b"connection" && has_token(value, b"close");
                self.lines.truncate(start);
                return Ok(());
            }
            7 | 16 | 17
                if matches!(name, b"upgrade" | b"proxy-connection" | b"transfer-encoding") =>
            {
                self.lines.truncate(start);
                return Ok(());
            }
            _ => {}
        }
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The length that the application declared.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Names, lower-case, and values.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.lines)
    }

    fn set_content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        let length = parse_length(value).ok_or(HeadError::ContentLength)?;
        if self.content_length.is_some_and(|before| before != length) {
            return Err(HeadError::ContentLength);
        }
        self.content_length = Some(length);
        Ok(())
    }
}

/// Fields behind a body, validated, in wire form.
#[derive(Debug, Default)]
pub struct Trailers {
    pub(crate) lines: Vec<u8>,
}

impl Trailers {
    /// Appends a field.
    ///
    /// # Errors
    /// `Name` or `Value`.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        let value = value.trim_ascii();
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(HeadError::Value);
        }
        append_name(&mut self.lines, name)?;
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Names, lower-case, and values.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.lines)
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = memchr::memchr(b':', line)?;
        Some((line.get(..colon)?, line.get(colon + 2..)?))
    })
}

/// Appends `name` in lower case; nothing if it is no token.
fn append_name(lines: &mut Vec<u8>, name: &[u8]) -> Result<(), HeadError> {
    let start = lines.len();
    let mut valid = !name.is_empty();
    lines.extend(name.iter().map(|byte| {
        let lower = TOKEN[*byte as usize];
        valid &= lower != 0;
        lower
    }));
    if !valid {
        lines.truncate(start);
        return Err(HeadError::Name);
    }
    Ok(())
}

/// Digits only (RFC 9110, 8.6).
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

/// True if the comma-separated `value` has `token`, whatever its case.
pub(crate) fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// VCHAR, obs-text, SP and HTAB (RFC 9110, 5.5).
fn is_value_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// The lower-case form of every character of a token (RFC 9110, 5.6.2), 0 for any other byte.
const TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphanumeric()
            || matches!(
                char,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_'
                    | b'`' | b'|' | b'~'
            )
        {
            table[byte] = char.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};
