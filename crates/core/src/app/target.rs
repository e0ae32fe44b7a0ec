//! Percent-decoding of request targets, as all interfaces need it.

use std::borrow::Cow;

pub(crate) use granian_proto::percent::{decode, decode_lossy};

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
