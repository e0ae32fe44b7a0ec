//! The invariants of requests to go on in another protocol.

use bytes::BytesMut;
use granian_proto::ws::Handshake;
use granian_proto::{Event, Request, RequestHead, h1, h2};

use super::frames::check_round_trip;
use crate::driver;

/// Any fields beside those that every upgrade has give a handshake or a refusal, and an answer to
/// it offers what was asked for only; and they give a frame of the same request, or none.
pub(crate) fn upgrade(data: &[u8]) {
    for start in [WEBSOCKET, HTTP2] {
        let wire = [
            b"GET /a?b HTTP/1.1\r\nHost: a\r\n",
            start,
            data,
            b"\r\n\r\n",
        ]
        .concat();
        let now = std::time::Instant::now();
        let mut connection = h1::Connection::new(driver::options(), now);
        let event = connection.poll_event(now, &mut BytesMut::from(&wire[..]));
        if let Some(Event::Request(Request { head, .. })) = event {
            check_handshake(&head, data);
            check_frame(&head);
        }
    }
}

fn check_handshake(head: &RequestHead, data: &[u8]) {
    let Ok(handshake) = Handshake::parse(head, true) else {
        return;
    };
    for protocol in handshake.protocols() {
        assert!(!protocol.is_empty() && !protocol.contains(','));
        if let Ok(answer) = handshake.accept(Some(protocol)) {
            let named = answer
                .fields()
                .find(|(name, _)| *name == b"sec-websocket-protocol");
            assert_eq!(named.map(|(_, value)| value), Some(protocol.as_bytes()));
        }
    }
    let answer = handshake.accept(None).unwrap();
    let value = |wanted: &[u8]| {
        let mut fields = answer.fields().filter(|(name, _)| *name == wanted);
        let value = fields.next().map(|(_, value)| value);
        assert_eq!(fields.next(), None);
        value
    };
    assert_eq!(answer.status(), 101);
    assert_eq!(value(b"sec-websocket-accept").unwrap().len(), 28);
    assert_eq!(value(b"sec-websocket-protocol"), None);
    let offers = head
        .fields()
        .filter(|(name, _)| *name == b"sec-websocket-extensions");
    let is_offered = offers
        .map(|(_, value)| value.to_ascii_lowercase())
        .any(|value| value.windows(18).any(|part| part == b"permessage-deflate"));
    let extensions = value(b"sec-websocket-extensions");
    assert_eq!(extensions.is_some(), handshake.deflation().is_some());
    assert!(extensions.is_none() || is_offered);
    check_round_trip(data, handshake.deflation());
}

/// The frame holds the fields of the request in their order, and nothing else.
fn check_frame(head: &RequestHead) {
    let Some(frame) = h2::upgraded_request(head) else {
        return;
    };
    let [high, middle, low, 1, 5, 0, 0, 0, 1, block @ ..] = &frame[..] else {
        panic!("not a head of stream 1: {}", frame.escape_ascii());
    };
    let len = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
    assert!(block.len() == len && len <= 16_384);
    let mut fields = Vec::new();
    let mut rest = block;
    while let [0, tail @ ..] = rest {
        let (name, tail) = literal(tail);
        let (value, tail) = literal(tail);
        fields.push((name, value));
        rest = tail;
    }
    assert!(rest.is_empty());
    let names = [&b":method"[..], b":scheme", b":authority", b":path"];
    assert!(fields.iter().map(|(name, _)| *name).take(4).eq(names));
    let mut sent = head.fields();
    for field in &fields[4..] {
        assert!(!field.0.starts_with(b":") && field.0 != b"connection");
        assert!(sent.any(|other| other == *field), "in order");
    }
}

/// A string that is not Huffman-coded (RFC 7541, 5.2), and what follows it.
fn literal(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (first, mut rest) = bytes.split_first().unwrap();
    let mut len = usize::from(*first);
    if *first == 127 {
        for shift in [0, 7, 14] {
            let (more, tail) = rest.split_first().unwrap();
            len += usize::from(more & 127) << shift;
            rest = tail;
            if more & 128 == 0 {
                break;
            }
        }
    }
    rest.split_at(len)
}

const WEBSOCKET: &[u8] =
    b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate";
const HTTP2: &[u8] =
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n";
