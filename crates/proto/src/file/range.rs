//! Range requests (RFC 9110, 14): which bytes of a representation are asked for.

use std::ops::Range;

use crate::field::{list, parse_decimal};

/// The meaning of a Range field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The whole: there is no Range field, or it is one to ignore.
    Whole,
    /// These bytes, one range or several in the order asked for; none is empty.
    Parts(Vec<Range<u64>>),
    /// 416: nothing of what it asks for is there.
    Unsatisfiable,
}

impl Ranges {
    /// The parts of `length` bytes that `value`, of a Range field, asks for.
    ///
    /// > A server MAY ignore the Range header field. [...] A server that supports range requests MAY ignore or reject
    /// > a Range header field that contains an invalid ranges-specifier (Section 14.1.1), a ranges-specifier with more
    /// > than two overlapping ranges, or a set of many small ranges
    /// > — RFC 9110, 14.2 <https://www.rfc-editor.org/rfc/rfc9110#section-14.2>
    pub fn of(value: &[u8], length: u64) -> Self {
        let Some((unit, set)) = value.split_at_checked(6) else {
            return Self::Whole;
        };
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return Self::Whole;
        }
        let mut parts: Vec<Range<u64>> = Vec::new();
        let mut count = 0;
        for spec in list(set).filter(|spec| !spec.is_empty()) {
            count += 1;
            match part(spec, length) {
                Some(_) if count > MOST_PARTS => return Self::Whole,
                Some(part) if part.is_empty() => {}
                Some(part) => parts.push(part),
                None => return Self::Whole,
            }
        }
        let asked: u64 = parts.iter().map(|part| part.end - part.start).sum();
        match parts.len() {
            0 if count == 0 => Self::Whole,
            0 => Self::Unsatisfiable,
            // Overlapping ranges would make more of it than there is.
            _ if asked > length => Self::Whole,
            _ => Self::Parts(parts),
        }
    }
}

/// The bytes of one specifier, empty if there are none; `None` if it is invalid.
///
/// > int-range = first-pos "-" [ last-pos ]; suffix-range = "-" suffix-length — RFC 9110, 14.1.1
fn part(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let number = |digits: &[u8]| parse_decimal(digits).ok();
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first = number(first)?;
    let end = match last {
        [] => length,
        last => {
            let last = number(last)?;
            // > A recipient of an int-range whose last-pos is less than its first-pos is invalid
            if last < first {
                return None;
            }
            last.saturating_add(1).min(length)
        }
    };
    Some(first.min(end)..end)
}

/// A client that plays or resumes something asks for one; more than these are an attack (RFC 9110,
/// 17.15).
const MOST_PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parts = |found: &[(u64, u64)]| {
            let ranges = found.iter().map(|(start, end)| *start..*end);
            Ranges::Parts(ranges.collect())
        };
        let many = format!("bytes={}", vec!["0-0"; 17].join(","));
        for (value, expected) in [
            ("bytes=0-499", parts(&[(0, 500)])),
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=500-999", parts(&[(500, 1000)])),
            ("bytes=500-", parts(&[(500, 1000)])),
            ("bytes=-500", parts(&[(500, 1000)])),
            ("bytes=-1", parts(&[(999, 1000)])),
            ("bytes=-5000", parts(&[(0, 1000)])),
            ("bytes=0-5000", parts(&[(0, 1000)])),
            ("bytes=999-5000", parts(&[(999, 1000)])),
            ("Bytes=0-1", parts(&[(0, 2)])),
            ("bytes=0-0, 5-9 ,-1", parts(&[(0, 1), (5, 10), (999, 1000)])),
            ("bytes=0-9,5000-", parts(&[(0, 10)])),
            ("bytes=1000-", Ranges::Unsatisfiable),
            ("bytes=1000-2000", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=5-4", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("bytes", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=1", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=0-99999999999999999999999", Ranges::Whole),
            ("lines=0-1", Ranges::Whole),
            ("bytes=0-999,0-999", Ranges::Whole),
            (many.as_str(), Ranges::Whole),
        ] {
            assert_eq!(Ranges::of(value.as_bytes(), 1000), expected, "{value}");
        }
        assert_eq!(Ranges::of(b"bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(Ranges::of(b"bytes=-1", 0), Ranges::Unsatisfiable);
    }
}
