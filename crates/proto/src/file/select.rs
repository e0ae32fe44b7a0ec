//! Content negotiation by coding (RFC 9110, 12.5.3).

use crate::field::list;
use crate::head::RequestHead;

/// The index of the coding in `available`, the best one first, that the request likes best; `None`
/// for the representation without a coding.
///
/// > If the representation's content coding is one of the content codings listed in the Accept-Encoding field value,
/// > then it is acceptable unless it is accompanied by a qvalue of 0.
/// > — RFC 9110, 12.5.3 <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3>
pub fn choose_coding(head: &RequestHead, available: &[&str]) -> Option<usize> {
    let weights: Vec<u16> = available
        .iter()
        .map(|coding| weight(head, coding))
        .collect();
    let best = weights.iter().copied().max().filter(|best| *best > 0)?;
    // A client that prefers the plain one says so.
    let plain = explicit(head, "identity").unwrap_or(0);
    weights
        .iter()
        .position(|weight| *weight == best && best >= plain)
}

fn weight(head: &RequestHead, coding: &str) -> u16 {
    explicit(head, coding)
        .or_else(|| explicit(head, "*"))
        .unwrap_or(0)
}

/// The weight that is given to `coding` by its name, in thousandths.
fn explicit(head: &RequestHead, coding: &str) -> Option<u16> {
    head.values(b"accept-encoding")
        .flat_map(list)
        .find_map(|item| {
            let mut parts = item.split(|byte| *byte == b';');
            let name = parts.next()?.trim_ascii();
            // > A recipient SHOULD consider "x-gzip" to be equivalent to "gzip". — RFC 9110, 8.4.1.3
            let is_it = name.eq_ignore_ascii_case(coding.as_bytes())
                || coding == "gzip" && name.eq_ignore_ascii_case(b"x-gzip");
            is_it.then(|| {
                parts
                    .find_map(|part| quality(part.trim_ascii()))
                    .unwrap_or(1000)
            })
        })
}

/// > weight = OWS ";" OWS "q=" qvalue; qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) — RFC 9110, 12.4.2
fn quality(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let value: f32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // A malformed weight counts as none.
    let is_weight = (0.0..=1.0).contains(&value);
    let thousandths = if is_weight { value * 1000.0 } else { 0.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1000"
    )]
    Some(thousandths.round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{RequestHeadBuilder, Version};

    #[test]
    fn the_coding_that_is_liked_best() {
        let all = ["br", "zstd", "gzip"];
        for (value, expected) in [
            ("", None),
            ("gzip", Some("gzip")),
            ("gzip, br", Some("br")),
            ("gzip, deflate, br, zstd", Some("br")),
            ("br;q=0.5, gzip;q=0.8", Some("gzip")),
            ("br;q=0, gzip", Some("gzip")),
            ("br;q=0, gzip;q=0.000", None),
            ("*", Some("br")),
            ("*;q=0", None),
            ("*;q=0, gzip", Some("gzip")),
            ("br;q=0, *", Some("zstd")),
            ("x-gzip", Some("gzip")),
            ("GZIP;Q=0.5", Some("gzip")),
            ("identity;q=1, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.6", Some("gzip")),
            ("identity", None),
            ("gzip;q=7", None),
            ("gzip;q=nan", None),
            ("deflate", None),
            ("brotli", None),
        ] {
            let mut head = RequestHeadBuilder::new(Version::Http11, "GET", b"/");
            head.append(b"accept-encoding", value.as_bytes());
            let chosen = choose_coding(&head.build(), &all).map(|index| all[index]);
            assert_eq!(chosen, expected, "{value}");
        }
        let none = RequestHeadBuilder::new(Version::Http11, "GET", b"/").build();
        assert_eq!(choose_coding(&none, &all), None);
    }
}
