//! Values that come from outside, as they may stand in a line of a log.

use std::io::Write;

/// Appends `text` for a line of text.
///
/// Nobody forges a line or a field with it: `"` and `\` are behind a backslash, and characters that are not printable, such
/// as line ends and terminals' commands, are escapes as Python writes them (`\n`, `\x1b`, `\u2028`).
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_with(out, text, push_escape);
}

/// Appends `text` as a string of JSON (RFC 8259, 7), quotes included.
pub(super) fn push_json(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_with(out, text, |out, char| {
        for unit in char.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    });
    out.push(b'"');
}

/// Appends `text`; `escape` appends a character that is not printable and has no short escape.
fn push_with(out: &mut Vec<u8>, text: &str, escape: impl Fn(&mut Vec<u8>, char)) {
    // Not `all`, which looks at one byte after the other.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            char if is_printable(char) => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            char => escape(out, char),
        }
    }
}

/// A printable character of ASCII that needs no escape.
pub(super) fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// As `str.isprintable` of Python has it. `escape_debug` takes a mark that combines with the letter before it for
/// printable only behind one.
fn is_printable(char: char) -> bool {
    if char.is_ascii() {
        return matches!(char, ' '..='~');
    }
    let mut behind_letter = [b'a', 0, 0, 0, 0];
    let length = char.encode_utf8(&mut behind_letter[1..]).len();
    let text = std::str::from_utf8(&behind_letter[..=length]).unwrap_or_default();
    text.escape_debug().eq(text.chars())
}

fn push_escape(out: &mut Vec<u8>, char: char) {
    let number = u32::from(char);
    let _ = match number {
        0..=0xff => write!(out, "\\x{number:02x}"),
        0x100..=0xffff => write!(out, "\\u{number:04x}"),
        _ => write!(out, "\\U{number:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        push_json(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_cannot_be_forged() {
        assert_eq!(text("/a b"), "/a b");
        assert_eq!(text("a\" 500 x\\"), "a\\\" 500 x\\\\");
        assert_eq!(
            text("\n\r\t\x1b\x7f\u{85}\u{2028}\u{202e}"),
            "\\n\\r\\t\\x1b\\x7f\\x85\\u2028\\u202e"
        );
        assert_eq!(text("\u{e0001}"), "\\U000e0001");
    }

    #[test]
    fn letters_of_all_languages_stay() {
        for letters in ["/café/日本", "हिन्दी", "ไทยดี", "e\u{301}", "🙂"]
        {
            assert_eq!(text(letters), letters);
            assert_eq!(json(letters), format!("\"{letters}\""));
        }
    }

    #[test]
    fn json_is_json() {
        assert_eq!(
            json("a\"\\\n\0\x1b\u{2028}"),
            "\"a\\\"\\\\\\n\\u0000\\u001b\\u2028\""
        );
        assert_eq!(json("\u{e0001}"), "\"\\udb40\\udc01\"");
    }
}
