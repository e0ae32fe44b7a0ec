//! Percent-decoding of request targets (RFC 3986, 2.1).

use std::borrow::Cow;

/// The decoded bytes of `raw`. A `%` without two hexadecimal digits stays.
pub(crate) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', raw) else {
        return Cow::Borrowed(raw);
    };
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        let octet = match tail {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match octet {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(decoded)
}

/// The decoded text of `raw`, with U+FFFD for bytes that are not UTF-8.
pub(crate) fn decode_lossy(raw: &[u8]) -> Cow<'_, str> {
    match decode(raw) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// `path` with `prefix` in front, unless the proxy has left it there. "root_path" is a part of "path"
/// (<https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope>).
pub(crate) fn with_prefix<'a>(path: &'a [u8], prefix: &str) -> Cow<'a, [u8]> {
    match strip_prefix(path, prefix.as_bytes()) {
        Some(_) => Cow::Borrowed(path),
        None if path.first() == Some(&b'/') => Cow::Owned([prefix.as_bytes(), path].concat()),
        None => Cow::Borrowed(path), // `*`
    }
}

/// `path` without `prefix`, which ends at a segment's end; never empty.
pub(crate) fn strip_prefix<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    match path.strip_prefix(prefix)? {
        [] => Some(b"/"),
        rest if prefix.is_empty() || rest[0] == b'/' => Some(rest),
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
