//! What must hold for any input: one function for each fuzz target. `fuzz/` drives them with
//! libFuzzer, `tests/fuzzed.rs` with damaged corpus files.

mod frames;
mod proxy;
mod script;
mod upgrade;

use granian_proto::{Content, Event, Request, RequestHead, ResponseHead, h1};

use crate::driver::{self, DATE, Policy, transcript};

pub(crate) use frames::{frame_watch, websocket};
pub(crate) use proxy::{forwarded, proxy_header};
pub(crate) use script::connection;
pub(crate) use upgrade::upgrade;

/// Any bytes give events or a refusal, the same for any split; and what is in a head is legal.
pub(crate) fn request_head(data: &[u8]) {
    for policy in [Policy::AtEnd, Policy::AtRequest] {
        same_for_any_split(data, policy);
    }
    let mut connection = h1::Connection::new(small_options(), std::time::Instant::now());
    let mut input = bytes::BytesMut::from(data);
    let event = connection.poll_event(std::time::Instant::now(), &mut input);
    if let Some(Event::Request(Request { head, .. })) = event {
        check_head(&head, data);
    }
}

/// Any bytes behind a chunked head give events or a refusal, the same for any split; and what the
/// encoder writes, the decoder reads.
pub(crate) fn chunked_body(data: &[u8]) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    same_for_any_split(&[head, data].concat(), Policy::AtEnd);
    let mut wire = head.to_vec();
    wire.extend(encoded(data));
    let found = transcript(&[&wire], driver::options(), Policy::AtEnd);
    let body = match data {
        [] => String::from("end\n"),
        data => format!("data {}\nend\n", data.escape_ascii()),
    };
    assert!(found.contains(&body), "{found}");
}

/// Limits that small inputs reach.
fn small_options() -> h1::Options {
    h1::Options {
        max_head_size: 512,
        max_target_size: 64,
        max_fields: 8,
        max_body_size: Some(1000),
        ..driver::options()
    }
}

fn same_for_any_split(data: &[u8], policy: Policy) {
    for options in [small_options(), driver::options()] {
        let whole = transcript(&[data], options, policy);
        for pieces in splits(data) {
            let cut = transcript(&pieces, options, policy);
            assert_eq!(cut, whole, "in {} pieces", pieces.len());
        }
    }
}

/// `data` byte by byte, and in two pieces that depend on it.
fn splits(data: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut splits = vec![data.chunks(1).collect()];
    let seed = data
        .iter()
        .fold(7u64, |seed, byte| seed.wrapping_mul(31) + u64::from(*byte));
    for part in 1..4 {
        let at = (seed >> (part * 8)) as usize % (data.len() + 1);
        let (first, second) = data.split_at(at);
        splits.push(vec![first, second]);
    }
    splits
}

fn check_head(head: &RequestHead, data: &[u8]) {
    let legal = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic()));
        assert!(!name.contains(&b':') && !name.iter().any(u8::is_ascii_uppercase));
        assert!(value.iter().all(legal));
        assert_eq!(value.trim_ascii(), value);
    }
    assert!(!head.method().is_empty());
    assert!(head.target().iter().all(u8::is_ascii_graphic));
    assert!(head.path() == b"*" || head.path().starts_with(b"/"));
    assert!(!head.path().contains(&b'?') && !head.query().contains(&b'#'));
    let start = [head.method().as_bytes(), b" ", head.target(), b" HTTP/1."].concat();
    assert!(data.trim_ascii_start().starts_with(&start));
}

/// `data` as a chunked body, in chunks of growing size: what a response writes, without its head.
fn encoded(data: &[u8]) -> Vec<u8> {
    let now = std::time::Instant::now();
    let mut connection = h1::Connection::new(driver::options(), now);
    let mut input = bytes::BytesMut::from(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]);
    assert!(matches!(
        connection.poll_event(now, &mut input),
        Some(Event::Request(_))
    ));
    let mut wire = Vec::new();
    let head = ResponseHead::new(200).unwrap();
    connection
        .send_head(&head, Content::Stream, DATE, &mut wire)
        .unwrap();
    wire.clear();
    let mut rest = data;
    let mut size = 0;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(size.min(rest.len()));
        let len = connection
            .begin_data(chunk.len() as u64, &mut wire)
            .unwrap();
        assert_eq!(len, chunk.len() as u64);
        wire.extend_from_slice(chunk);
        connection.end_data(&mut wire);
        rest = tail;
        size += 1;
    }
    connection.send_end(None, &mut wire).unwrap();
    wire
}
