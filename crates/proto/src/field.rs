//! Field lines: the characters of names and values, and `FieldLines`, their one wire form.

use memchr::memchr;

use crate::error::HeadError;

/// Validated lines `name: value CRLF`, names in lower case.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct FieldLines(Vec<u8>);

impl FieldLines {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends a field. `keep` gets the lower-case name and the trimmed value, and returns whether
    /// the field stays.
    pub(crate) fn append(
        &mut self,
        name: &[u8],
        value: &[u8],
        keep: impl FnOnce(&[u8], &[u8]) -> Result<bool, HeadError>,
    ) -> Result<(), HeadError> {
        let value = trim_ows(value);
        if !is_value(value) {
            return Err(HeadError::Value);
        }
        let start = self.0.len();
        self.0.reserve(name.len() + value.len() + 4);
        let mut is_token = !name.is_empty();
        self.0.extend(name.iter().map(|byte| {
            let lower = LOWER_TOKEN[usize::from(*byte)];
            is_token &= lower != 0;
            lower
        }));
        let kept = match is_token {
            true => keep(&self.0[start..], value),
            false => Err(HeadError::Name),
        };
        if kept == Ok(true) {
            self.0.extend_from_slice(b": ");
            self.0.extend_from_slice(value);
            self.0.extend_from_slice(b"\r\n");
        } else {
            self.0.truncate(start);
        }
        kept.map(|_| ())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes in memory, of which some may be unused.
    pub(crate) fn weight(&self) -> usize {
        self.0.capacity()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            // Neither names nor values contain a CR, so the first one ends the line.
            let line = &rest[..memchr(b'\r', rest)?];
            rest = &rest[line.len() + 2..];
            let colon = memchr(b':', line)?;
            Some((&line[..colon], &line[colon + 2..]))
        })
    }
}

/// Whether these are the characters of a token.
///
/// > token = 1*tchar
/// > — RFC 9110, 5.6.2 <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    LOWER_TOKEN[usize::from(byte)] != 0
}

/// Whether these are the characters of a field value or a reason phrase.
///
/// > field-vchar = VCHAR / obs-text
/// > — RFC 9110, 5.5 <https://www.rfc-editor.org/rfc/rfc9110#section-5.5>
///
/// Between them SP and HTAB.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // Without an early exit the compiler checks many bytes at a time.
    !bytes.iter().fold(false, |bad, byte| {
        bad | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f)
    })
}

/// Without SP and HTAB at both ends.
///
/// > OWS = *( SP / HTAB )
/// > — RFC 9110, 5.6.3 <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.3>
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed; empty ones too.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows)
}

/// A number of digits alone.
///
/// > Content-Length = 1*DIGIT
/// > — RFC 9110, 8.6 <https://www.rfc-editor.org/rfc/rfc9110#section-8.6>
pub(crate) fn parse_decimal(digits: &[u8]) -> Result<u64, DecimalError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Malformed);
    }
    digits.iter().try_fold(0u64, |number, digit| {
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(u64::from(digit - b'0')))
            .ok_or(DecimalError::TooLarge)
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecimalError {
    Malformed,
    TooLarge,
}

/// Token characters in lower case; 0 for all others.
static LOWER_TOKEN: [u8; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");

/// A table of letters, each in lower case, digits and `marks`; 0 for all others.
pub(crate) const fn letters_digits_and(marks: &[u8]) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphanumeric() {
            table[byte] = char.to_ascii_lowercase();
        }
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = marks[at];
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep_all(_: &[u8], _: &[u8]) -> Result<bool, HeadError> {
        Ok(true)
    }

    #[test]
    fn lines_are_lower_cased_and_trimmed() {
        let mut lines = FieldLines::default();
        lines.append(b"X-A", b" \tb c\t ", keep_all).unwrap();
        lines.append(b"empty", b"", keep_all).unwrap();
        assert_eq!(lines.as_bytes(), b"x-a: b c\r\nempty: \r\n");
        let fields: Vec<_> = lines.iter().collect();
        assert_eq!(fields, [(&b"x-a"[..], &b"b c"[..]), (b"empty", b"")]);
    }

    #[test]
    fn bad_fields_leave_nothing_behind() {
        let mut lines = FieldLines::default();
        for name in [&b""[..], b"a b", b"a:", b"a\r\n", b"\xe9", b"a\0"] {
            assert_eq!(lines.append(name, b"v", keep_all), Err(HeadError::Name));
        }
        for value in [
            &b"a\r\nb"[..],
            b"\0",
            b"a\nb",
            b"a\x7fb",
            b"a\x0bb",
            b"\x01",
        ] {
            assert_eq!(lines.append(b"a", value, keep_all), Err(HeadError::Value));
        }
        assert_eq!(lines.as_bytes(), b"");
    }

    #[test]
    fn every_byte_of_a_value() {
        for byte in 0..=255u8 {
            let legal = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(is_value(&[b'a', byte, b'b']), legal, "{byte}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(parse_decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(
            parse_decimal(b"18446744073709551616"),
            Err(DecimalError::TooLarge)
        );
        assert_eq!(parse_decimal(b"007"), Ok(7));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"0x1", b"1_0", b"3, 3"] {
            assert_eq!(parse_decimal(bad), Err(DecimalError::Malformed));
        }
    }
}
