//! The path of a file below a folder, from the path of a request target.

/// The decoded segments of `path`, which is percent-encoded; the last one is empty if `path` ends with a slash.
/// Empty segments in between are left out, as file systems do.
///
/// `None` for what names no file below a folder: a segment that is `.` or `..`, or has a slash, a backslash or a zero
/// byte in it, however that is encoded, and `%` without two hexadecimal digits.
pub fn segments(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = path.split(|byte| *byte == b'/').peekable();
    while let Some(raw) = rest.next() {
        let segment = decode(raw)?;
        if segment.is_empty() && rest.peek().is_some() {
            continue;
        }
        let is_dots = matches!(segment.as_slice(), b"." | b"..");
        if is_dots || segment.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
            return None;
        }
        found.push(segment);
    }
    Some(found)
}

/// > pct-encoded = "%" HEXDIG HEXDIG
/// > — RFC 3986, 2.1 <https://www.rfc-editor.org/rfc/rfc3986#section-2.1>
fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?,
            byte => *byte,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(path: &str) -> Option<String> {
        let found = segments(path.as_bytes())?;
        Some(String::from_utf8(found.join(&b'|')).unwrap())
    }

    #[test]
    fn segments_are_decoded_one_by_one() {
        assert_eq!(joined("/a/b.txt").unwrap(), "a|b.txt");
        assert_eq!(joined("/a%20b/%C3%A9").unwrap(), "a b|é");
        assert_eq!(joined("//a///b").unwrap(), "a|b");
        assert_eq!(joined("/a/").unwrap(), "a|");
        assert_eq!(joined("/").unwrap(), "");
        assert_eq!(joined("/a/...").unwrap(), "a|...");
        assert_eq!(joined("/%252e%252e/x").unwrap(), "%2e%2e|x");
    }

    #[test]
    fn nothing_climbs_out() {
        for path in [
            "/..",
            "/../x",
            "/a/../x",
            "/a/..",
            "/./x",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/a%2fb",
            "/a%2Fb",
            "/..%2fx",
            "/..%5cx",
            "/a\\..\\x",
            "/a%00b",
            "/%",
            "/%1",
            "/%zz",
            "/a%0",
            "/%2e",
        ] {
            assert_eq!(joined(path), None, "{path}");
        }
    }
}
