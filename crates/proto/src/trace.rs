//! The names that requests bring along: `X-Request-Id`, and `traceparent` of W3C Trace Context.

/// True if `value` may name a request: 1 to 128 letters, digits and `-._~+/=:@`. Nothing in it needs an escape in a log,
/// a header or a URL's path.
pub fn is_request_id(value: &[u8]) -> bool {
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    (1..=LONGEST_ID).contains(&value.len()) && value.iter().all(is_fit)
}

/// The trace that `value`, a `traceparent`, belongs to: 32 hexadecimal digits. `None` if it is malformed.
///
/// > version-format   = trace-id "-" parent-id "-" trace-flags
/// > — W3C Trace Context, 3.2.2 <https://www.w3.org/TR/trace-context/#traceparent-header>
pub fn trace_id(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_sound = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2)
        // Later versions may append parts.
        && (version != "00" || parts.next().is_none());
    is_sound.then_some(trace)
}

const LONGEST_ID: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_and_short() {
        for id in [
            "a",
            "7b1f-22",
            "Root=1-67891233-abcdef012345678912345678",
            "x@y:z",
        ] {
            assert!(is_request_id(id.as_bytes()), "{id}");
        }
        for id in [
            b"".as_slice(),
            b"a b",
            b"a\"b",
            b"a\\b",
            b"a,b",
            b"\xe9",
            &[b'a'; 129],
        ] {
            assert!(!is_request_id(id), "{id:?}");
        }
        assert!(is_request_id(&[b'a'; 128]));
    }

    #[test]
    fn traces_are_well_formed() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sound = format!("00-{trace}-b7ad6b7169203331-01");
        assert_eq!(trace_id(sound.as_bytes()), Some(trace));
        let later = format!("cc-{trace}-b7ad6b7169203331-01-what-the-future");
        assert_eq!(trace_id(later.as_bytes()), Some(trace));
        for broken in [
            String::new(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{trace}x-b7ad6b7169203331-01"),
        ] {
            assert_eq!(trace_id(broken.as_bytes()), None, "{broken}");
        }
    }
}
