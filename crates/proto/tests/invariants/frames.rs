//! The invariants of WebSocket frames and of the watch over HTTP/2 frames.

use std::mem::discriminant;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use granian_proto::ws::{Codecs, Connection, Deflation, Event, Handshake, Options};
use granian_proto::{RequestHeadBuilder, Version, h2};

use super::splits;

/// Any bytes give events or one failure, the same for any split; nothing follows the failure or
/// the Close, and no message is larger than the limit. What one side writes, the other reads.
pub(crate) fn websocket(data: &[u8]) {
    let Some((first, wire)) = data.split_first() else {
        return;
    };
    let deflation = if first & 1 == 0 { None } else { deflation() };
    let whole = received(&[wire], deflation);
    for pieces in splits(wire) {
        let cut = received(&pieces, deflation);
        assert!(is_same(&cut, &whole, deflation), "{cut:?} is not {whole:?}");
    }
    for (at, event) in whole.iter().enumerate() {
        match event {
            Event::Text(text) => assert!(std::str::from_utf8(text).is_ok()),
            Event::Close(_) | Event::Failed { .. } => assert_eq!(at, whole.len() - 1),
            Event::Binary(_) | Event::Ping(_) | Event::Pong(_) => {}
        }
        if let Event::Text(message) | Event::Binary(message) = event {
            assert!(message.len() <= MAX_MESSAGE_SIZE);
        }
    }
    check_round_trip(wire, deflation);
}

/// Any bytes are let pass or refused, the same for any split; a header section is open from its
/// first frame to the end of its last; and floods are what is refused, and all of them.
pub(crate) fn frame_watch(data: &[u8]) {
    let wire = [h2::PREFACE, &data.repeat(REPEATED)].concat();
    let now = Instant::now();
    let watched = |pieces: &[&[u8]]| {
        let mut watch = h2::FrameWatch::new(now);
        let result = pieces
            .iter()
            .try_for_each(|piece| watch.handle_input(now, piece));
        (result, watch.section_since().is_some())
    };
    let (result, is_open) = watched(&[&wire]);
    for pieces in splits(&wire) {
        let cut = watched(&pieces);
        assert_eq!(cut.0, result);
        assert!(result.is_err() || cut.1 == is_open);
    }
    let tally = Tally::new(&wire[h2::PREFACE.len()..]);
    match result {
        Ok(()) => {
            assert_eq!(is_open, tally.is_open);
            assert!(tally.control <= BURST + tally.useful && tally.resets <= BURST);
            assert!(tally.windows <= WINDOW_BURST);
        }
        Err(h2::Flood::Control) => assert!(tally.control > BURST),
        Err(h2::Flood::Windows) => assert!(tally.windows > WINDOW_BURST),
        Err(h2::Flood::Resets) => assert!(tally.resets > BURST),
    }
}

fn deflation() -> Option<Deflation> {
    let mut head = RequestHeadBuilder::new(Version::Http2, "CONNECT", b"/");
    head.append(b"sec-websocket-version", b"13");
    head.append(b"sec-websocket-extensions", b"permessage-deflate");
    Handshake::parse(&head.build(), true).unwrap().deflation()
}

fn opened(deflation: Option<Deflation>, now: Instant) -> Connection {
    let options = Options {
        max_message_size: MAX_MESSAGE_SIZE,
        ping_interval: None,
        ping_timeout: None,
        idle_timeout: None,
        close_timeout: Duration::from_secs(5),
    };
    Connection::new(&options, deflation, Rc::new(Codecs::default()), now)
}

fn received(pieces: &[&[u8]], deflation: Option<Deflation>) -> Vec<Event> {
    let now = Instant::now();
    let mut connection = opened(deflation, now);
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(event) = connection.poll_event(now, &mut input) {
            events.push(event);
        }
    }
    events
}

/// A compressed message that is both too big and no UTF-8 fails for what shows first.
fn is_same(left: &[Event], right: &[Event], deflation: Option<Deflation>) -> bool {
    let is_failure = |event: &Event| matches!(event, Event::Failed { .. });
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| {
            left == right
                || (deflation.is_some()
                    && is_failure(left)
                    && discriminant(left) == discriminant(right))
        })
}

pub(super) fn check_round_trip(data: &[u8], deflation: Option<Deflation>) {
    let now = Instant::now();
    let data = &data[..data.len().min(MAX_MESSAGE_SIZE)];
    let small = &data[..data.len().min(125)];
    let mut sender = opened(deflation, now);
    let mut out = Vec::new();
    assert!(sender.send_binary(now, data, &mut out));
    assert!(sender.send_ping(now, small, &mut out));
    assert!(sender.send_pong(now, small, &mut out));
    let text = String::from_utf8_lossy(small);
    assert!(sender.send_text(now, text.as_bytes(), &mut out));
    assert!(sender.send_close(now, Some(1000), &text, &mut out));
    assert!(!sender.send_binary(now, data, &mut out));
    let mut events = received(&[&masked(&out)], deflation).into_iter();
    assert_eq!(events.next(), Some(Event::Binary(data.to_vec().into())));
    assert_eq!(events.next(), Some(Event::Ping(small.to_vec().into())));
    assert_eq!(events.next(), Some(Event::Pong(small.to_vec().into())));
    assert_eq!(
        events.next(),
        Some(Event::Text(text.as_bytes().to_vec().into()))
    );
    assert!(matches!(events.next(), Some(Event::Close(_))));
    assert_eq!(events.next(), None);
}

/// The frames of a server as a client would send them.
fn masked(mut out: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    while let [first, second, rest @ ..] = out {
        assert_eq!(second & 0x80, 0, "servers do not mask");
        let (extended, rest) = rest.split_at(match second {
            126 => 2,
            127 => 8,
            _ => 0,
        });
        let len = match extended {
            [] => usize::from(*second),
            extended => extended
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        wire.extend([*first, second | 0x80]);
        wire.extend_from_slice(extended);
        wire.extend_from_slice(&MASK);
        let (payload, rest) = rest.split_at(len);
        wire.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out = rest;
    }
    assert!(out.is_empty());
    wire
}

/// What a reader that has all frames before it counts.
#[derive(Default)]
struct Tally {
    is_open: bool,
    useful: usize,
    control: usize,
    windows: usize,
    resets: usize,
}

impl Tally {
    fn new(mut frames: &[u8]) -> Self {
        let mut tally = Self::default();
        while let [high, middle, low, kind, flags, _, _, _, _, rest @ ..] = frames {
            let len = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            let is_whole = rest.len() >= len;
            match kind {
                0 => tally.useful += usize::from(len > 0),
                1 | 9 => {
                    tally.useful += usize::from(*kind == 1);
                    tally.is_open = flags & 4 == 0 || !is_whole;
                }
                3 => tally.resets += 1,
                4 | 6 => tally.control += usize::from(flags & 1 == 0),
                8 => tally.windows += 1,
                _ => tally.control += 1,
            }
            frames = rest.get(len..).unwrap_or_default();
        }
        tally
    }
}

const MAX_MESSAGE_SIZE: usize = 2000;
const MASK: [u8; 4] = [1, 2, 3, 4];
/// Small inputs reach the bounds when they come this often.
const REPEATED: usize = 40;
const BURST: usize = 1000;
const WINDOW_BURST: usize = 20_000;
