//! Whole connections: every script is received whole, byte by byte and at every split.

use super::*;

const OPTIONS: Options = Options {
    max_message_size: 1000,
    ping_interval: Some(Duration::from_secs(20)),
    ping_timeout: Some(Duration::from_secs(10)),
    idle_timeout: Some(Duration::from_secs(100)),
    close_timeout: Duration::from_secs(5),
};

fn connection(deflate: bool, now: Instant) -> Connection {
    let mut builder = crate::RequestHeadBuilder::new(crate::Version::Http2, "CONNECT", b"/");
    builder.append(b"sec-websocket-version", b"13");
    builder.append(b"sec-websocket-extensions", b"permessage-deflate");
    let handshake = Handshake::parse(&builder.build(), deflate).unwrap();
    Connection::new(
        &OPTIONS,
        handshake.deflation(),
        Rc::new(Codecs::default()),
        now,
    )
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    write_header(Opcode::Text, false, payload.len(), &mut wire);
    wire[0] = first;
    wire[1] |= 0x80;
    let mask = [1, 2, 3, 4];
    wire.extend_from_slice(&mask);
    wire.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    wire
}

fn receive(pieces: &[&[u8]], deflate: bool) -> Vec<Event> {
    let now = Instant::now();
    let mut connection = connection(deflate, now);
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

/// The events of `wire`, the same however it is cut.
fn events(wire: &[u8], deflate: bool) -> Vec<Event> {
    let whole = receive(&[wire], deflate);
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(receive(&bytes, deflate), whole);
    for split in 0..wire.len() {
        let (head, tail) = wire.split_at(split);
        assert_eq!(receive(&[head, tail], deflate), whole, "split at {split}");
    }
    whole
}

fn text(text: &'static str) -> Event {
    Event::Text(Bytes::from_static(text.as_bytes()))
}

fn failure(wire: &[u8]) -> u16 {
    match events(wire, false).pop() {
        Some(Event::Failed { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_and_control_frames_between_fragments() {
    let wire = [
        frame(0x81, b"one"),
        frame(0x01, "\u{3ba}".as_bytes()),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"two"),
        frame(0x82, &[0; 300]),
        frame(0x82, b""),
        frame(0x88, b"\x03\xe8ok"),
        frame(0x81, b"after the end"),
    ];
    let close = CloseReason {
        code: Some(1000),
        text: Bytes::from_static(b"ok"),
    };
    let expected = [
        text("one"),
        Event::Ping(Bytes::from_static(b"ping")),
        Event::Pong(Bytes::new()),
        text("\u{3ba}two"),
        Event::Binary(Bytes::from_static(&[0; 300])),
        Event::Binary(Bytes::new()),
        Event::Close(close),
    ];
    assert_eq!(events(&wire.concat(), false), expected);
}

#[test]
fn errors_have_their_codes() {
    assert_eq!(failure(&frame(0x80, b"x")), 1002);
    assert_eq!(
        failure(&[frame(0x01, b"x"), frame(0x81, b"y")].concat()),
        1002
    );
    assert_eq!(failure(&frame(0xc1, b"x")), 1002);
    assert_eq!(failure(&frame(0x81, b"\xff")), 1007);
    assert_eq!(failure(&frame(0x81, b"\xce")), 1007);
    assert_eq!(
        failure(&[frame(0x01, b"\xce"), frame(0x80, b"x")].concat()),
        1007
    );
    assert_eq!(failure(&frame(0x82, &[0; 1001])), 1009);
    assert_eq!(
        failure(&[frame(0x02, &[0; 600]), frame(0x80, &[0; 401])].concat()),
        1009
    );
    assert_eq!(failure(&frame(0x88, b"\x03")), 1002);
    assert_eq!(failure(&frame(0x88, b"\x03\xed")), 1002);
    assert_eq!(failure(&frame(0x88, b"\x03\xe8\xff")), 1007);
}

#[test]
fn compressed_messages() {
    // RFC 7692, 7.2.3.1 and 7.2.3.2: one frame, and two.
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let wire = [
        frame(0xc1, hello),
        frame(0x41, &hello[..3]),
        frame(0x89, b""),
        frame(0x80, &hello[3..]),
        frame(0x81, b"plain"),
    ];
    let ping = Event::Ping(Bytes::new());
    assert_eq!(
        events(&wire.concat(), true),
        [text("Hello"), ping, text("Hello"), text("plain")]
    );
    for (bad, expected) in [(&b"\xff\xff"[..], 1007), (b"\x4a\x04\x00\xff", 1007)] {
        let failed = events(&frame(0xc1, bad), true).pop();
        assert!(
            matches!(failed, Some(Event::Failed { code, .. }) if code == expected),
            "{failed:?}"
        );
    }
}

#[test]
fn what_is_sent_compressed_comes_back() {
    let now = Instant::now();
    let mut sender = connection(true, now);
    let message = b"abcdefgh".repeat(100);
    let mut wire = Vec::new();
    assert!(sender.compresses(message.len()));
    assert!(sender.send_text(now, &message, &mut wire));
    assert!(wire.len() < 100);
    assert_eq!(wire[0], 0xc1);
    let back = events(&frame(0xc1, &wire[2..]), true);
    assert_eq!(back, [Event::Text(Bytes::from(message))]);
}

#[test]
fn a_message_is_inflated_in_steps() {
    let now = Instant::now();
    let options = Options {
        max_message_size: 1 << 20,
        ..OPTIONS
    };
    let deflation = connection(true, now).deflation;
    let opened = || Connection::new(&options, deflation, Rc::new(Codecs::default()), now);
    // Bytes that do not get smaller.
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let message: Vec<u8> = noise.take(3000).collect();
    let mut wire = Vec::new();
    assert!(opened().send_binary(now, &message, &mut wire));
    let mut input = BytesMut::from(&frame(0xc2, &wire[4..])[..]);
    let mut receiver = opened().in_steps();
    let mut steps = 0;
    let event = loop {
        match receiver.poll_event(now, &mut input) {
            Some(event) => break event,
            None => assert!(receiver.has_more(&input)),
        }
        steps += 1;
        assert!((1..3000).contains(&receiver.take_inflated()));
    };
    assert!(steps >= 2);
    assert_eq!(event, Event::Binary(message.into()));
    assert!(!receiver.has_more(&input));
    // What has not come is waited for.
    let mut part = BytesMut::from(&frame(0xc2, &wire[4..])[..400]);
    assert_eq!(receiver.poll_event(now, &mut part), None);
    assert!(!receiver.has_more(&part));
    // Behind the first step, zeros are inflated in smaller ones.
    let message = vec![0; options.max_message_size];
    wire.clear();
    assert!(opened().send_binary(now, &message, &mut wire));
    let mut input = BytesMut::from(&frame(0xc2, &wire[4..])[..]);
    let mut receiver = opened().in_steps();
    let mut inflated = Vec::new();
    while receiver.poll_event(now, &mut input).is_none() {
        inflated.push(receiver.take_inflated());
    }
    assert!(inflated.len() > 8);
    let steps = inflated.windows(2).map(|step| step[1] - step[0]);
    assert!(steps.max() < Some(128 * 1032));
}

#[test]
fn the_closing_handshake() {
    let now = Instant::now();
    let (mut out, mut input) = (Vec::new(), BytesMut::new());
    let mut ours = connection(false, now);
    assert!(ours.send_close(now, Some(1000), "bye", &mut out));
    assert_eq!(out, b"\x88\x05\x03\xe8bye");
    assert!(!ours.send_close(now, Some(1000), "", &mut out));
    assert!(!ours.send_text(now, b"late", &mut out));
    input.extend_from_slice(&frame(0x81, b"on its way"));
    input.extend_from_slice(&frame(0x88, b""));
    assert_eq!(ours.poll_event(now, &mut input), Some(text("on its way")));
    assert_eq!(ours.poll_timeout(), Some(now + OPTIONS.close_timeout));
    assert_eq!(
        ours.poll_event(now, &mut input),
        Some(Event::Close(CloseReason::default()))
    );
    assert!(ours.is_closed() && ours.poll_timeout().is_none());

    out.clear();
    let mut theirs = connection(false, now);
    input.extend_from_slice(&frame(0x88, b""));
    assert!(theirs.poll_event(now, &mut input).is_some());
    assert!(!theirs.is_closed() && theirs.is_open());
    assert!(theirs.send_close(now, None, "", &mut out));
    assert_eq!(out, b"\x88\x00");
    assert!(theirs.is_closed());
}

#[test]
fn silence_is_asked_about_and_then_final() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let (mut out, mut input) = (Vec::new(), BytesMut::new());
    let mut connection = connection(false, start);
    assert_eq!(connection.poll_timeout(), Some(at(20)));
    assert_eq!(connection.handle_timeout(at(19)), None);
    assert_eq!(connection.handle_timeout(at(20)), Some(Timeout::Ping));
    assert!(connection.send_ping(at(20), b"", &mut out));
    assert_eq!(connection.poll_timeout(), Some(at(30)));
    // Anything will do as an answer.
    input.extend_from_slice(&frame(0x8a, b"unasked"));
    assert!(connection.poll_event(at(25), &mut input).is_some());
    assert_eq!(connection.poll_timeout(), Some(at(40)));
    assert_eq!(connection.handle_timeout(at(40)), Some(Timeout::Ping));
    assert!(connection.send_ping(at(40), b"", &mut out));
    connection.handle_pause(at(45));
    assert_eq!(connection.poll_timeout(), Some(at(60)));
    assert!(connection.send_ping(at(60), b"", &mut out));
    assert_eq!(connection.handle_timeout(at(70)), Some(Timeout::Silent));
    assert!(connection.send_close(at(70), Some(1011), "", &mut out));
    assert!(connection.is_closed());
}

#[test]
fn idleness_and_an_unanswered_close() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut out = Vec::new();
    let mut connection = connection(false, start);
    assert!(connection.send_text(at(10), b"x", &mut out));
    for seconds in [30, 50, 70, 90] {
        connection.handle_pause(at(seconds));
        assert!(connection.send_ping(at(seconds), b"", &mut out));
        connection.handle_pause(at(seconds));
    }
    assert_eq!(connection.handle_timeout(at(110)), Some(Timeout::Idle));
    assert!(connection.send_close(at(110), Some(1001), "", &mut out));
    assert_eq!(connection.handle_timeout(at(115)), Some(Timeout::Close));
    assert!(connection.is_closed());
}
