//! The upgrade from HTTP/1.1: whether a request asks for it in due form, and the same request as
//! the frames of stream 1.
//!
//! RFC 9113 has retired it, and clients still use it where they can't know that a server speaks
//! HTTP/2. <https://www.rfc-editor.org/rfc/rfc7540#section-3.2>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::promise::{is_of_connection, is_target_byte};
use super::{END_HEADERS, END_STREAM, HEADERS, SETTING_LEN};
use crate::field::list;
use crate::head::{RequestHead, Version};

/// The request as a HEADERS frame of stream 1, if it is to be answered over HTTP/2. Without a body
/// only, which would have to come before the upgrade.
///
/// A request that is not, whatever is wrong with it, is answered as if it had not asked.
/// > A server MAY ignore a received Upgrade header field
/// > — RFC 9110, 7.8 <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>
pub fn upgraded_request(head: &RequestHead) -> Option<Vec<u8>> {
    let options = options(head)?;
    if !is_asked_for(head, &options) || !has_settings(head) {
        return None;
    }
    let mut block = Vec::with_capacity(256);
    put_pseudo_fields(&mut block, head)?;
    for (name, value) in head.fields() {
        if !is_of_connection(name) && !is_option(&options, name) {
            put_field(&mut block, name, value);
        }
    }
    if block.len() > MAX_BLOCK {
        return None;
    }
    let mut frame = Vec::with_capacity(9 + block.len());
    frame.extend_from_slice((block.len() as u32).to_be_bytes().get(1..)?);
    frame.extend_from_slice(&[HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 1]);
    frame.extend_from_slice(&block);
    Some(frame)
}

/// > A server MUST ignore an "h2" token in an Upgrade header field. — RFC 7540, 3.2
fn is_asked_for(head: &RequestHead, options: &[&[u8]]) -> bool {
    let names_protocol = head
        .values(b"upgrade")
        .flat_map(list)
        .any(|protocol| protocol == b"h2c");
    // > Since the upgrade is only intended to apply to the immediate connection, a client sending
    // > the HTTP2-Settings header field MUST also send "HTTP2-Settings" as a connection option in
    // > the Connection header field — RFC 7540, 3.2.1
    head.version() == Version::Http11
        && names_protocol
        && is_option(options, b"upgrade")
        && is_option(options, b"http2-settings")
}

/// > A server MUST NOT upgrade the connection to HTTP/2 if this header field is not present or if
/// > more than one is present. [...] The content of the HTTP2-Settings header field is the payload
/// > of a SETTINGS frame, encoded as a base64url string [...] — RFC 7540, 3.2.1
///
/// The payload is checked and not used: the client's first frame repeats it.
fn has_settings(head: &RequestHead) -> bool {
    let mut settings = head.values(b"http2-settings");
    let (Some(value), None) = (settings.next(), settings.next()) else {
        return false;
    };
    URL_SAFE_NO_PAD
        .decode(value)
        .is_ok_and(|payload| payload.len() % SETTING_LEN == 0)
}

/// `None` for a target that has no place in HTTP/2, or may have none.
fn put_pseudo_fields(block: &mut Vec<u8>, head: &RequestHead) -> Option<()> {
    let authority = match head.authority() {
        Some(authority) => authority.as_bytes(),
        None => head.field(b"host")?,
    };
    if authority.is_empty() || head.method() == "CONNECT" {
        return None;
    }
    let mut path = head.path().to_vec();
    if !head.query().is_empty() {
        path.push(b'?');
        path.extend_from_slice(head.query());
    }
    // Engines of HTTP/1 take more bytes for a target than those of HTTP/2 do.
    let is_plain = |byte: &u8| is_target_byte(*byte) || *byte == b'%';
    if !path.iter().all(is_plain) {
        return None;
    }
    put_field(block, b":method", head.method().as_bytes());
    put_field(block, b":scheme", b"http");
    put_field(block, b":authority", authority);
    put_field(block, b":path", &path);
    Some(())
}

/// The options of the Connection fields; `None` for more than any client has. Each field is compared with each option.
fn options(head: &RequestHead) -> Option<Vec<&[u8]>> {
    let options = head.values(b"connection").flat_map(list);
    let options: Vec<_> = options.take(MAX_OPTIONS + 1).collect();
    (options.len() <= MAX_OPTIONS).then_some(options)
}

fn is_option(options: &[&[u8]], name: &[u8]) -> bool {
    options
        .iter()
        .any(|option| option.eq_ignore_ascii_case(name))
}

/// Literal Header Field without Indexing -- New Name
/// (RFC 7541, 6.2.2 <https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2>)
fn put_field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        put_length(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of 7 bits (RFC 7541, 5.1); the bit before it says: no Huffman code.
fn put_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The largest frame that every endpoint takes (RFC 9113, 4.2). A longer head stays with HTTP/1.1.
const MAX_BLOCK: usize = 16_384;
/// Connection options of a request that is upgraded.
const MAX_OPTIONS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::RequestHeadBuilder;

    const UPGRADE: (&str, &str) = ("upgrade", "websocket, h2c");
    const CONNECTION: (&str, &str) = ("connection", "Upgrade, HTTP2-Settings, x-hop");
    const SETTINGS: (&str, &str) = ("http2-settings", "AAMAAABkAAQAAP__");
    const HOST: (&str, &str) = ("host", "a.example");

    fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut builder = RequestHeadBuilder::new(Version::Http11, "GET", target.as_bytes());
        for (name, value) in fields {
            builder.append(name.as_bytes(), value.as_bytes());
        }
        builder.build()
    }

    fn upgraded(fields: &[(&str, &str)]) -> Option<Vec<u8>> {
        upgraded_request(&head("/a?b=c", fields))
    }

    #[test]
    fn becomes_the_headers_of_stream_1() {
        let long = "v".repeat(300);
        let more = [("x-hop", "1"), ("te", "trailers"), ("x-long", &long)];
        let fields = [&[UPGRADE, CONNECTION, SETTINGS, HOST][..], &more].concat();
        let frame = upgraded(&fields).unwrap();
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a.example"),
            (":path", "/a?b=c"),
        ] {
            block.extend([0, name.len() as u8]);
            block.extend(name.as_bytes());
            block.push(value.len() as u8);
            block.extend(value.as_bytes());
        }
        block.extend(b"\0\x06x-long\x7f\xad\x01"); // 127 + 45 + 128
        block.extend(long.as_bytes());
        let mut expected = (block.len() as u32).to_be_bytes()[1..].to_vec();
        expected.extend([1, 5, 0, 0, 0, 1]);
        expected.extend(block);
        assert_eq!(frame, expected);
    }

    #[test]
    fn only_what_asks_in_due_form() {
        assert!(upgraded(&[UPGRADE, CONNECTION, SETTINGS, HOST]).is_some());
        let empty = ("http2-settings", "");
        assert!(upgraded(&[UPGRADE, CONNECTION, empty, HOST]).is_some());
        for fields in [
            &[CONNECTION, SETTINGS, HOST][..],
            &[("upgrade", "h2"), CONNECTION, SETTINGS, HOST],
            &[UPGRADE, ("connection", "upgrade"), SETTINGS, HOST],
            &[UPGRADE, ("connection", "http2-settings"), SETTINGS, HOST],
            &[UPGRADE, CONNECTION, HOST],
            &[UPGRADE, CONNECTION, SETTINGS, SETTINGS, HOST],
            &[UPGRADE, CONNECTION, ("http2-settings", "AAMAAABk="), HOST],
            &[
                UPGRADE,
                CONNECTION,
                ("http2-settings", "AAMAAABk\u{e9}"),
                HOST,
            ],
            &[UPGRADE, CONNECTION, ("http2-settings", "AAMAAABkAA"), HOST],
            &[UPGRADE, CONNECTION, SETTINGS, ("host", "")],
        ] {
            assert_eq!(upgraded(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn only_what_fits() {
        let base = [UPGRADE, CONNECTION, SETTINGS, HOST];
        assert_eq!(upgraded_request(&head("/a|b", &base)), None);
        let long = "v".repeat(MAX_BLOCK);
        let fields = [&base[..], &[("x-long", &long)]].concat();
        assert_eq!(upgraded(&fields), None);
        let many = ("connection", &*"a,".repeat(MAX_OPTIONS));
        assert_eq!(upgraded(&[&base[..], &[many]].concat()), None);
        let fits = "v".repeat(MAX_BLOCK - 100);
        let fields = [&base[..], &[("x-long", &fits)]].concat();
        let frame = upgraded(&fields).unwrap();
        assert!(frame.len() - 9 <= MAX_BLOCK);
    }
}
