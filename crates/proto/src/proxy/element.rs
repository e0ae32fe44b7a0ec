//! Elements of the field `Forwarded`: one for each proxy on the way.
//!
//! > Forwarded = 1#forwarded-element
//! > forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
//! > forwarded-pair = token "=" value
//! > — RFC 7239, 4 <https://www.rfc-editor.org/rfc/rfc7239#section-4>

use std::borrow::Cow;

/// The parameters of an element that count here.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Element<'a> {
    /// `for`: the node that made the request to the proxy.
    pub(super) node: Option<Cow<'a, [u8]>>,
    /// `proto`: the scheme of that request.
    pub(super) scheme: Option<Cow<'a, [u8]>>,
    /// `host`: its Host field.
    pub(super) host: Option<Cow<'a, [u8]>>,
}

/// The elements of one line in their order. `None` if the line is malformed: a quote that does not end, for one, leaves
/// open where an element begins.
pub(super) fn elements(line: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    let mut rest = line;
    loop {
        let (element, tail) = element(rest)?;
        // > a recipient MUST parse and ignore a reasonable number of empty list elements — RFC 9110, 5.6.1.2
        elements.extend(element);
        match tail {
            [] => return Some(elements),
            [_, tail @ ..] => rest = tail,
        }
    }
}

/// One element, `None` if it is empty, and the rest of the line, which begins with a comma or is empty.
fn element(line: &[u8]) -> Option<(Option<Element<'_>>, &[u8])> {
    let mut element = Element::default();
    let mut is_empty = true;
    let mut rest = line;
    loop {
        rest = skip_space(rest);
        match rest {
            [] | [b',', ..] => return Some(((!is_empty).then_some(element), rest)),
            [b';', tail @ ..] => {
                rest = tail;
                continue;
            }
            _ => is_empty = false,
        }
        let ((name, value), tail) = pair(rest)?;
        let place = match name.to_ascii_lowercase().as_slice() {
            b"for" => Some(&mut element.node),
            b"proto" => Some(&mut element.scheme),
            b"host" => Some(&mut element.host),
            _ => None,
        };
        // > Each parameter MUST NOT occur more than once per field-value. — RFC 7239, 4
        if let Some(place) = place
            && place.replace(value).is_some()
        {
            return None;
        }
        rest = skip_space(tail);
        if !matches!(rest, [] | [b',' | b';', ..]) {
            return None;
        }
    }
}

/// A name and a value.
type Pair<'a> = (&'a [u8], Cow<'a, [u8]>);

/// The pair at the beginning of the line, and what follows.
fn pair(line: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (name, rest) = token(line)?;
    let rest = rest.strip_prefix(b"=")?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, rest) = quoted_string(quoted)?;
        return Some(((name, value), rest));
    }
    let (value, rest) = unquoted(rest)?;
    Some(((name, Cow::Borrowed(value)), rest))
}

fn token(line: &[u8]) -> Option<(&[u8], &[u8])> {
    split(line, |byte| {
        byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
    })
}

/// A value without quotes. Many proxies leave them out around an address with a port and around an IPv6 address,
/// which are no tokens.
fn unquoted(line: &[u8]) -> Option<(&[u8], &[u8])> {
    split(line, |byte| {
        byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(&byte)
    })
}

fn split(line: &[u8], belongs: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|byte| !belongs(*byte));
    let (first, rest) = line.split_at(end.unwrap_or(line.len()));
    (!first.is_empty()).then_some((first, rest))
}

/// > quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE — RFC 9110, 5.6.4
fn quoted_string(line: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', line)?;
    if line[end] == b'"' {
        return Some((Cow::Borrowed(&line[..end]), &line[end + 1..]));
    }
    let mut value = Vec::new();
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((Cow::Owned(value), &line[at + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            byte => value.push(*byte),
        }
    }
    None
}

fn skip_space(line: &[u8]) -> &[u8] {
    line.trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `for proto host` of each element, `-` for what is not there.
    fn shown(line: &str) -> Option<Vec<String>> {
        let show = |value: &Option<Cow<'_, [u8]>>| {
            let value = value.as_deref().unwrap_or(b"-");
            value.escape_ascii().to_string()
        };
        let elements = elements(line.as_bytes())?;
        let shown = |element: &Element<'_>| {
            [&element.node, &element.scheme, &element.host]
                .map(show)
                .join(" ")
        };
        Some(elements.iter().map(shown).collect())
    }

    #[test]
    fn examples_of_the_rfc() {
        for (line, expected) in [
            ("for=\"_gazonk\"", vec!["_gazonk - -"]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                vec!["[2001:db8:cafe::17]:4711 - -"],
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                vec!["192.0.2.60 http -"],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec!["192.0.2.43 - -", "198.51.100.17 - -"],
            ),
            (
                "for=192.0.2.43, for=\"[2001:db8:cafe::17]\";host=example.com",
                vec!["192.0.2.43 - -", "[2001:db8:cafe::17] - example.com"],
            ),
        ] {
            assert_eq!(shown(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn lenience() {
        for (line, expected) in [
            ("", vec![]),
            (" , ,", vec![]),
            ("for=1.2.3.4:99", vec!["1.2.3.4:99 - -"]),
            ("for=[::1]:99 ; host=a:80", vec!["[::1]:99 - a:80"]),
            (";;for=a;;", vec!["a - -"]),
            ("proto=https,\tFOR=a", vec!["- https -", "a - -"]),
            ("for=\"a\\\"b\\\\\"", vec!["a\\\"b\\\\ - -"]),
            ("for=\"\"", vec![" - -"]),
            ("for=\"a,b;c\";secret=x", vec!["a,b;c - -"]),
        ] {
            assert_eq!(shown(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn malformed() {
        for line in [
            "for",
            "for=",
            "=a",
            "for = a",
            "for=a b",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\"b",
            "for=a;for=b",
            "for=a;FOR=b",
            "proto=a;proto=a",
            "for=a, host",
            "f(r=a",
            "for=a/b",
            "for=\"a, for=1.2.3.4",
        ] {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
