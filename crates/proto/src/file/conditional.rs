//! Conditional requests (RFC 9110, 13): whether a request still applies to what is there.

use crate::head::RequestHead;

/// The validators of a representation (RFC 9110, 8.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// An entity tag as it goes on the wire: quoted, with `W/` in front if it is weak.
    pub etag: String,
    /// When it was modified, in seconds since 1970.
    pub modified: u64,
}

/// The result of a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The request is answered as if it had none.
    Met,
    /// 304: the client has it already.
    NotModified,
    /// 412: it is not what the client takes it for.
    Failed,
}

impl Validators {
    /// Looks at the conditions of a GET or HEAD request in the order of RFC 9110, 13.2.2.
    pub fn check(&self, head: &RequestHead) -> Precondition {
        let has = |name| head.field(name).is_some();
        // > When recipient is the origin server and If-Match is present, evaluate the If-Match precondition
        if has(b"if-match") {
            if !self.matches(head, b"if-match", Compare::Strong) {
                return Precondition::Failed;
            }
        } else if let Some(date) = date(head, b"if-unmodified-since")
            && self.modified > date
        {
            return Precondition::Failed;
        }
        // > A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header field
        // > — RFC 9110, 13.1.3
        if has(b"if-none-match") {
            if self.matches(head, b"if-none-match", Compare::Weak) {
                return Precondition::NotModified;
            }
        } else if let Some(date) = date(head, b"if-modified-since")
            && self.modified <= date
        {
            return Precondition::NotModified;
        }
        Precondition::Met
    }

    /// True if a Range field is to be followed: If-Range is absent or names exactly this
    /// representation (RFC 9110, 13.1.5).
    pub fn allows_range(&self, head: &RequestHead) -> bool {
        let Some(value) = head.field(b"if-range") else {
            return true;
        };
        if value.ends_with(b"\"") {
            // > A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak
            return value == self.etag.as_bytes() && !self.is_weak();
        }
        parse_date(value) == Some(self.modified)
    }

    fn is_weak(&self) -> bool {
        self.etag.starts_with("W/")
    }

    fn matches(&self, head: &RequestHead, name: &'static [u8], compare: Compare) -> bool {
        let own = opaque(self.etag.as_bytes());
        head.values(name).any(|value| {
            value == b"*"
                || tags(value).any(|tag| {
                    let is_weak = self.is_weak() || tag.starts_with(b"W/");
                    opaque(tag) == own && (compare == Compare::Weak || !is_weak)
                })
        })
    }
}

/// How entity tags are compared (RFC 9110, 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tags of a list. A comma may stand inside of one, so that a list is not split at every comma.
///
/// > entity-tag = [ weak ] opaque-tag; opaque-tag = DQUOTE *etagc DQUOTE — RFC 9110, 8.8.3
fn tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let start = rest
            .iter()
            .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        rest = &rest[start..];
        let prefix = if rest.starts_with(b"W/\"") { 3 } else { 1 };
        if prefix == 1 && !rest.starts_with(b"\"") {
            return None;
        }
        let end = prefix + rest[prefix..].iter().position(|byte| *byte == b'"')? + 1;
        let (tag, behind) = rest.split_at(end);
        rest = behind;
        Some(tag)
    })
}

/// > A recipient MUST ignore the If-Modified-Since header field if the received field value is not a valid HTTP-date
/// > — RFC 9110, 13.1.3; the same holds for If-Unmodified-Since
fn date(head: &RequestHead, name: &'static [u8]) -> Option<u64> {
    let mut values = head.values(name);
    let first = values.next()?;
    values.next().is_none().then(|| parse_date(first))?
}

fn parse_date(value: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::Precondition::{Failed, Met, NotModified};
    use super::*;
    use crate::head::{RequestHeadBuilder, Version};

    /// 1994-11-06 08:49:37, the example of RFC 9110.
    const NOW: u64 = 784_111_777;
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    type Fields = &'static [(&'static str, &'static str)];

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
        for (name, value) in fields {
            head.append(name.as_bytes(), value.as_bytes());
        }
        head.build()
    }

    // size: one table.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn conditions_in_their_order() {
        let strong = Validators {
            etag: "\"a,b\"".to_owned(),
            modified: NOW,
        };
        let weak = Validators {
            etag: "W/\"a,b\"".to_owned(),
            modified: NOW,
        };
        let cases: &[(Fields, Precondition, Precondition)] = &[
            (&[], Met, Met),
            (&[("if-none-match", "\"a,b\"")], NotModified, NotModified),
            (&[("if-none-match", "W/\"a,b\"")], NotModified, NotModified),
            (&[("if-none-match", "*")], NotModified, NotModified),
            (
                &[("if-none-match", "\"x\", \"a,b\" , \"y\"")],
                NotModified,
                NotModified,
            ),
            (
                &[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")],
                NotModified,
                NotModified,
            ),
            (&[("if-none-match", "\"x\"")], Met, Met),
            (&[("if-none-match", "a,b")], Met, Met),
            (&[("if-none-match", "\"a,b")], Met, Met),
            (
                &[("if-none-match", "\"x\""), ("if-modified-since", SAME)],
                Met,
                Met,
            ),
            (&[("if-modified-since", SAME)], NotModified, NotModified),
            (&[("if-modified-since", AFTER)], NotModified, NotModified),
            (&[("if-modified-since", BEFORE)], Met, Met),
            (&[("if-modified-since", "yesterday")], Met, Met),
            (
                &[("if-modified-since", SAME), ("if-modified-since", SAME)],
                Met,
                Met,
            ),
            (&[("if-match", "\"a,b\"")], Met, Failed),
            (&[("if-match", "*")], Met, Met),
            (&[("if-match", "W/\"a,b\"")], Failed, Failed),
            (&[("if-match", "\"x\"")], Failed, Failed),
            (
                &[("if-match", "\"a,b\""), ("if-unmodified-since", BEFORE)],
                Met,
                Failed,
            ),
            (
                &[("if-match", "*"), ("if-none-match", "*")],
                NotModified,
                NotModified,
            ),
            (&[("if-unmodified-since", BEFORE)], Failed, Failed),
            (&[("if-unmodified-since", SAME)], Met, Met),
            (&[("if-unmodified-since", "soon")], Met, Met),
        ];
        for (fields, of_strong, of_weak) in cases {
            assert_eq!(strong.check(&head(fields)), *of_strong, "strong {fields:?}");
            assert_eq!(weak.check(&head(fields)), *of_weak, "weak {fields:?}");
        }
    }

    #[test]
    fn ranges_of_the_very_same_only() {
        let strong = Validators {
            etag: "\"a\"".to_owned(),
            modified: NOW,
        };
        let weak = Validators {
            etag: "W/\"a\"".to_owned(),
            modified: NOW,
        };
        for (value, of_strong, of_weak) in [
            ("\"a\"", true, false),
            ("W/\"a\"", false, false),
            ("\"b\"", false, false),
            (SAME, true, true),
            (BEFORE, false, false),
            (AFTER, false, false),
            ("nonsense", false, false),
        ] {
            assert_eq!(
                strong.allows_range(&head(&[("if-range", value)])),
                of_strong,
                "{value}"
            );
            assert_eq!(
                weak.allows_range(&head(&[("if-range", value)])),
                of_weak,
                "{value}"
            );
        }
        assert!(weak.allows_range(&head(&[])));
    }
}
