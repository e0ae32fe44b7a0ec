//! Request targets: the form of one, and the places of its parts.

use memchr::{memchr, memchr2};

use crate::error::PeerError;
use crate::field::letters_digits_and;
use crate::head::{Span, Target};

/// Splits the target that starts at `start` of a block.
///
/// > request-target = origin-form / absolute-form / authority-form / asterisk-form
/// > — RFC 9112, 3.2 <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
///
/// The authority-form is for CONNECT only, which an origin server does not perform.
/// The scheme is returned apart from the other parts, since the target may have it in upper case.
pub(super) fn split(method: &[u8], target: &[u8], start: usize) -> Result<Split, PeerError> {
    // No form has a fragment, and whoever stands between may find another end of the path in it.
    if !target.iter().fold(true, |good, byte| {
        good & (0x21..=0x7e).contains(byte) & (*byte != b'#')
    }) {
        return Err(PeerError::Target);
    }
    let (scheme, authority, path) = match target {
        [b'/', ..] => (None, None, 0),
        // > The "asterisk-form" of request-target is only used for a server-wide OPTIONS request
        // > — RFC 9112, 3.2.4
        b"*" if method == b"OPTIONS" => (None, None, 0),
        _ => {
            let scheme = Scheme::of(target).ok_or(PeerError::Target)?;
            let authority = scheme.name().len() + "://".len();
            let rest = &target[authority..];
            let path = authority + memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            // > A sender MUST NOT generate an "http" URI with an empty host identifier. A recipient
            // > that processes such a URI reference MUST reject it as invalid.
            // > — RFC 9110, 4.2.1
            //
            // > a recipient SHOULD parse for userinfo and treat its presence as an error
            // > — RFC 9110, 4.2.4
            let bytes = &target[authority..path];
            if bytes.is_empty() || bytes.starts_with(b":") || !is_host(bytes) {
                return Err(PeerError::Target);
            }
            (
                Some(scheme),
                Some(Span::new(start + authority..start + path)),
                path,
            )
        }
    };
    let tail = &target[path..];
    let path_end = path + memchr(b'?', tail).unwrap_or(tail.len());
    let (query, query_end) = match target.get(path_end) {
        Some(_) => (path_end + 1, target.len()),
        None => (path_end, path_end),
    };
    let target = Target {
        whole: Span::new(start..start + target.len()),
        path: Span::new(start + path..start + path_end),
        query: Span::new(start + query..start + query_end),
        authority,
        scheme: None,
    };
    Ok(Split { target, scheme })
}

/// A target in parts.
#[derive(Clone, Copy)]
pub(super) struct Split {
    pub(super) target: Target,
    pub(super) scheme: Option<Scheme>,
}

/// A scheme that an HTTP server is addressed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn of(target: &[u8]) -> Option<Self> {
        let starts = |prefix: &str| {
            target
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if starts("http://") {
            Some(Self::Http)
        } else if starts("https://") {
            Some(Self::Https)
        } else {
            None
        }
    }
}

/// Whether this may stand in a Host field.
///
/// > Host = uri-host [ ":" port ]
/// > — RFC 9110, 7.2 <https://www.rfc-editor.org/rfc/rfc9110#section-7.2>
///
/// > host = IP-literal / IPv4address / reg-name
/// > — RFC 3986, 3.2.2 <https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2>
pub fn is_host(value: &[u8]) -> bool {
    let port = match value {
        [b'[', literal @ ..] => {
            let Some(end) = memchr(b']', literal) else {
                return false;
            };
            let address = &literal[..end];
            if address.is_empty()
                || !address
                    .iter()
                    .all(|byte| is_host_byte(*byte) || *byte == b':')
            {
                return false;
            }
            match &literal[end + 1..] {
                [] => return true,
                [b':', port @ ..] => port,
                _ => return false,
            }
        }
        name => {
            let end = memchr(b':', name).unwrap_or(name.len());
            if !name[..end].iter().all(|byte| is_host_byte(*byte)) {
                return false;
            }
            name.get(end + 1..).unwrap_or_default()
        }
    };
    port.iter().all(u8::is_ascii_digit)
}

/// > reg-name = *( unreserved / pct-encoded / sub-delims )
/// > — RFC 3986, 3.2.2
///
/// But no comma: in a value it is where two fields were joined to one on the way.
fn is_host_byte(byte: u8) -> bool {
    HOST[usize::from(byte)] != 0
}

static HOST: [u8; 256] = letters_digits_and(b"-._~%!$&'()*+;=");

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str) -> Option<(&str, &str, Option<&str>)> {
        let split = split(b"GET", target.as_bytes(), 0).ok()?;
        let part = |span: Span| &target[span.range()];
        let Target {
            path,
            query,
            authority,
            ..
        } = split.target;
        Some((part(path), part(query), authority.map(part)))
    }

    #[test]
    fn forms() {
        assert_eq!(parts("/"), Some(("/", "", None)));
        assert_eq!(parts("/a/b?c=d?e"), Some(("/a/b", "c=d?e", None)));
        assert_eq!(parts("//a?"), Some(("//a", "", None)));
        assert_eq!(parts("http://h/p?q"), Some(("/p", "q", Some("h"))));
        assert_eq!(parts("HTTPS://h:1?q"), Some(("", "q", Some("h:1"))));
        assert_eq!(parts("http://[::1]:80"), Some(("", "", Some("[::1]:80"))));
        for bad in [
            "",
            "a",
            "*",
            "http:/a",
            "ftp://a/",
            "http://",
            "http:///a",
            "http://u@h/",
            "?a",
            "#",
            "/a#f",
            "/a?b#c",
            "http://h#f",
            "h:80",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
        assert!(split(b"OPTIONS", b"*", 0).is_ok());
        assert!(split(b"OPTIONS", b"*/", 0).is_err());
    }

    #[test]
    fn bytes_of_a_target() {
        for byte in 0..=255u8 {
            let legal = (0x21..=0x7e).contains(&byte) && byte != b'#';
            assert_eq!(split(b"GET", &[b'/', byte], 0).is_ok(), legal, "{byte}");
        }
    }

    #[test]
    fn hosts() {
        for good in [
            "",
            "a",
            "a:",
            "a:80",
            "1.2.3.4:1",
            "[::1]",
            "[::1]:80",
            "[v1.a]",
            "a_b.c",
            "%41",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "a:b", "a:80:80", "u@h", "a/b", "a?b", "a#", "[", "[]", "[::1]a",
            "\u{e9}",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
