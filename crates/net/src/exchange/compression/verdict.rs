//! `Verdict`: whether a response is compressed, decided by its head and what is known of its length.

use granian_proto::file::choose_coding;
use granian_proto::{RequestHead, ResponseHead};

use super::encoder::{Coding, Effort};

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It leaves as it is.
    Plain,
    /// It would be compressed for another client.
    Varies,
    /// It is compressed.
    Encoded(Coding, Effort),
}

/// The coding that the client of `head` likes best.
pub(crate) fn coding_for(head: &RequestHead) -> Option<Coding> {
    let names = Coding::ALL.map(|(name, _)| name);
    choose_coding(head, &names).map(|index| Coding::ALL[index].1)
}

impl Verdict {
    /// The verdict on a response of `len` bytes, where that is known, to a client that takes `coding`.
    pub(super) fn of(head: &ResponseHead, len: Option<u64>, coding: Option<Coding>) -> Self {
        let gains = gains(head);
        if gains == Gains::Nothing || len.is_some_and(|len| len < LEAST) {
            return Self::Plain;
        }
        let effort = match gains {
            Gains::Events => Effort::Events,
            _ => Effort::Once,
        };
        coding.map_or(Self::Varies, |coding| Self::Encoded(coding, effort))
    }

    /// `head` as it leaves.
    pub(super) fn rewrite(self, head: &mut ResponseHead) {
        let coding = match self {
            Self::Plain => return,
            Self::Varies => None,
            Self::Encoded(coding, _) => Some(coding),
        };
        if let Some(coding) = coding
            && let Some(encoded) = encoded_head(head, coding)
        {
            *head = encoded;
        }
        let is_named = |value: &[u8]| {
            let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"))
        };
        let varies = head
            .fields()
            .any(|(name, value)| name == b"vary" && is_named(value));
        if !varies {
            // The field is a valid one.
            let _ = head.append(b"vary", b"accept-encoding");
        }
    }
}

/// The kinds of responses by what compression is to them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gains {
    Nothing,
    Bytes,
    /// Server-sent events, which are small and come for hours.
    Events,
}

fn gains(head: &ResponseHead) -> Gains {
    // 206: the parts are those of the plain representation. 204, 205 and 304 have no body.
    if matches!(head.status(), 204..=206 | 304 | 416) {
        return Gains::Nothing;
    }
    let mut gains = Gains::Nothing;
    for (name, value) in head.fields() {
        match name {
            b"content-type" => gains = gains_of_type(value),
            b"content-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                return Gains::Nothing;
            }
            // Digests of the bytes as they are.
            b"content-range" | b"content-digest" | b"repr-digest" | b"digest" | b"content-md5" => {
                return Gains::Nothing;
            }
            // > The no-transform response directive indicates that an intermediary [...] MUST NOT transform the
            // > content — RFC 9111, 5.2.2.6 <https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.6>
            //
            // This is no intermediary, but who says so means it.
            b"cache-control" if has_directive(value, b"no-transform") => return Gains::Nothing,
            _ => {}
        }
    }
    gains
}

fn has_directive(value: &[u8], directive: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(directive))
}

/// True if files of this content type are worth compressing.
pub(crate) fn type_gains(value: &[u8]) -> bool {
    gains_of_type(value) != Gains::Nothing
}

fn gains_of_type(value: &[u8]) -> Gains {
    let end = value.iter().position(|byte| *byte == b';');
    let kind = value[..end.unwrap_or(value.len())].trim_ascii();
    let kind = kind.to_ascii_lowercase();
    if kind == b"text/event-stream" {
        return Gains::Events;
    }
    let is_text = kind.starts_with(b"text/")
        || kind.ends_with(b"+json")
        || kind.ends_with(b"+xml")
        || kind.ends_with(b"+text")
        || TYPES.iter().any(|other| other.as_bytes() == kind);
    if is_text {
        Gains::Bytes
    } else {
        Gains::Nothing
    }
}

/// `None` only if the fields of `head` were not valid, which they are.
fn encoded_head(head: &ResponseHead, coding: Coding) -> Option<ResponseHead> {
    let mut encoded = ResponseHead::new(head.status()).ok()?;
    encoded.set_route(head.route());
    encoded.set_reason(head.reason()).ok()?;
    for (name, value) in head.fields() {
        let appended = match name {
            // > A sender MUST NOT [...] the same strong validator for two representations [...] with different
            // > content codings — after RFC 9110, 8.8.1
            b"etag" if !value.starts_with(b"W/") => encoded.append(name, &[b"W/", value].concat()),
            // The server does not take ranges of what it compresses.
            b"accept-ranges" | b"content-encoding" => Ok(()),
            _ => encoded.append(name, value),
        };
        appended.ok()?;
    }
    if head.asks_close() {
        encoded.append(b"connection", b"close").ok()?;
    }
    encoded
        .append(b"content-encoding", coding.name().as_bytes())
        .ok()?;
    Some(encoded)
}

/// Bytes below which a body is about as long afterwards, and fits into a packet.
pub(crate) const LEAST: u64 = 1024;
/// Besides texts, JSON and XML of any kind: media types of which files become smaller by a third or more.
const TYPES: [&str; 17] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/xml",
    "application/x-ndjson",
    "application/jsonlines",
    "application/graphql",
    "application/wasm",
    "application/yaml",
    "application/toml",
    "application/rtf",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/x-icon",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let mut head = ResponseHead::new(status).unwrap();
        for (name, value) in fields {
            head.append(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    fn verdict(status: u16, fields: &[(&str, &str)]) -> Verdict {
        Verdict::of(&head(status, fields), None, Some(Coding::Gzip))
    }

    const ONCE: Verdict = Verdict::Encoded(Coding::Gzip, Effort::Once);
    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn what_gains() {
        for kind in [
            "text/plain",
            "Text/HTML;charset=x",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "font/ttf",
        ] {
            assert_eq!(verdict(200, &[("content-type", kind)]), ONCE, "{kind}");
        }
        for kind in [
            "image/png",
            "font/woff2",
            "application/zip",
            "video/mp4",
            "",
        ] {
            let verdict = verdict(200, &[("content-type", kind)]);
            assert_eq!(verdict, Verdict::Plain, "{kind}");
        }
        assert_eq!(verdict(200, &[]), Verdict::Plain);
        let events = verdict(200, &[("content-type", "text/event-stream")]);
        assert_eq!(events, Verdict::Encoded(Coding::Gzip, Effort::Events));
    }

    #[test]
    fn what_stays_as_it_is() {
        assert_eq!(verdict(404, &[HTML]), ONCE);
        for status in [204, 205, 206, 304, 416] {
            assert_eq!(verdict(status, &[HTML]), Verdict::Plain, "{status}");
        }
        for field in [
            ("content-encoding", "br"),
            ("cache-control", "max-age=1, No-Transform"),
            ("content-range", "bytes 0-1/2"),
            ("content-digest", "sha-256=:x:"),
        ] {
            assert_eq!(verdict(200, &[HTML, field]), Verdict::Plain, "{field:?}");
        }
        assert_eq!(
            verdict(200, &[HTML, ("content-encoding", "identity")]),
            ONCE
        );
        let small = Verdict::of(&head(200, &[HTML]), Some(LEAST - 1), Some(Coding::Gzip));
        assert_eq!(small, Verdict::Plain);
        let other = Verdict::of(&head(200, &[HTML]), Some(LEAST), None);
        assert_eq!(other, Verdict::Varies);
    }

    #[test]
    fn heads() {
        let mut rewritten = head(
            200,
            &[
                HTML,
                ("content-length", "5000"),
                ("etag", "\"a\""),
                ("accept-ranges", "bytes"),
                ("set-cookie", "a=b"),
                ("vary", "origin"),
                ("connection", "close"),
            ],
        );
        rewritten.set_reason(b"Fine").unwrap();
        ONCE.rewrite(&mut rewritten);
        let fields: Vec<_> = rewritten
            .fields()
            .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        assert_eq!(
            fields,
            [
                "content-type: text/html; charset=utf-8",
                "etag: W/\\\"a\\\"",
                "set-cookie: a=b",
                "vary: origin",
                "content-encoding: gzip",
                "vary: accept-encoding",
            ]
        );
        assert_eq!(rewritten.content_length(), None);
        assert_eq!(rewritten.reason(), b"Fine");
        assert!(rewritten.asks_close());
        let mut varies = head(
            200,
            &[HTML, ("content-length", "5"), ("vary", "Accept-Encoding")],
        );
        Verdict::Varies.rewrite(&mut varies);
        assert_eq!(varies.fields().count(), 2);
        assert_eq!(varies.content_length(), Some(5));
    }
}
