//! `Promise`: a request that the server makes in its client's place, to push the response.
//! <https://www.rfc-editor.org/rfc/rfc9113#section-8.4>

use crate::error::HeadError;
use crate::field::FieldLines;

/// A GET without a body, for the same origin as the request it comes with. Validated when made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    target: String,
    lines: FieldLines,
}

impl Promise {
    /// A request for `path`, which may have a query. What may not stand in a target is
    /// percent-encoded; what is encoded already stays.
    ///
    /// # Errors
    /// `HeadError::Path` if it does not begin with a slash.
    pub fn new(path: &str) -> Result<Self, HeadError> {
        if !path.starts_with('/') {
            return Err(HeadError::Path);
        }
        let mut target = String::with_capacity(path.len());
        for (at, byte) in path.bytes().enumerate() {
            if is_target_byte(byte) || is_encoded(path, at) {
                target.push(char::from(byte));
            } else {
                target.push('%');
                target.extend([byte >> 4, byte & 15].map(hex_digit));
            }
        }
        Ok(Self {
            target,
            lines: FieldLines::default(),
        })
    }

    /// Appends a field. Those that are about a connection, a body, or the origin are left out.
    ///
    /// # Errors
    /// `Name` or `Value`, for characters that are not allowed.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        self.lines.append(name, value, |name, _| {
            Ok(!is_of_connection(name)
                && !matches!(name, b"content-length" | b"expect" | b"trailer"))
        })
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// All fields, names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter()
    }

    /// Bytes in memory, beside those of the value itself.
    pub fn weight(&self) -> usize {
        self.target.capacity() + self.lines.weight()
    }
}

/// > An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields.
/// > — RFC 9113, 8.2.2 <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2>
///
/// Host is `:authority` in HTTP/2.
pub(super) fn is_of_connection(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"host"
            | b"http2-settings"
            | b"keep-alive"
            | b"proxy-connection"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

/// Bytes that a path or query may contain unencoded (RFC 3986, 3.3 and 3.4), without `%`.
pub(super) fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte)
}

/// A `%` with two hexadecimal digits behind it.
fn is_encoded(path: &str, at: usize) -> bool {
    let octet = path.as_bytes().get(at..at + 3);
    octet.is_some_and(|octet| octet[0] == b'%' && octet[1..].iter().all(u8::is_ascii_hexdigit))
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (path, target) in [
            ("/", "/"),
            ("/a.css?v=2&w", "/a.css?v=2&w"),
            ("/ä b#\"", "/%C3%A4%20b%23%22"),
            ("/a%20b", "/a%20b"),
            ("/100% %4", "/100%25%20%254"),
        ] {
            assert_eq!(Promise::new(path).unwrap().target(), target);
        }
        for path in ["", "a.css", "*", "http://a.example/"] {
            assert_eq!(Promise::new(path), Err(HeadError::Path));
        }
    }

    #[test]
    fn fields() {
        let mut promise = Promise::new("/").unwrap();
        promise.append(b"Accept", b" text/css ").unwrap();
        promise.append(b"Host", b"elsewhere.example").unwrap();
        promise.append(b"Content-Length", b"3").unwrap();
        promise.append(b"Connection", b"close").unwrap();
        let fields: Vec<_> = promise.fields().collect();
        assert_eq!(fields, [(&b"accept"[..], &b"text/css"[..])]);
        assert_eq!(promise.append(b":path", b"/"), Err(HeadError::Name));
        assert_eq!(promise.append(b"a", b"b\r\nc: d"), Err(HeadError::Value));
        assert!(promise.weight() >= 17);
    }
}
