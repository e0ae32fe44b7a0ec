//! `FrameWatch`, fed frames in pieces of every size.

use super::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, 1]);
    frame.extend_from_slice(payload);
    frame
}

fn opened(now: Instant) -> FrameWatch {
    let mut watch = FrameWatch::new(now);
    watch.handle_input(now, PREFACE).unwrap();
    watch
}

#[test]
fn a_header_section_is_open_until_its_last_byte() {
    let now = Instant::now();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, &[0; 6]));
    bytes.extend(frame(HEADERS, 1, b"abc"));
    let open_from = bytes.len() - 3;
    bytes.extend(frame(CONTINUATION, 0, b""));
    bytes.extend(frame(CONTINUATION, END_HEADERS, b"de"));
    let open_to = bytes.len();
    bytes.extend(frame(DATA, 0, b"body"));
    for size in 1..=bytes.len() {
        let mut watch = FrameWatch::new(now);
        let mut fed = 0;
        for piece in bytes.chunks(size) {
            watch.handle_input(now, piece).unwrap();
            fed += piece.len();
            let open = (open_from..open_to).contains(&fed);
            assert_eq!(watch.section_since().is_some(), open, "{fed} in {size}s");
        }
    }
}

#[test]
fn control_frames_are_bounded_by_what_they_come_with() {
    let now = Instant::now();
    let ping = frame(PING, 0, &[0; 8]);
    let mut watch = opened(now);
    for _ in 0..CONTROL_BURST {
        watch.handle_input(now, &ping).unwrap();
    }
    watch
        .handle_input(now, &frame(HEADERS, END_HEADERS, b"x"))
        .unwrap();
    watch.handle_input(now, &ping).unwrap();
    watch.handle_input(now, &frame(PING, ACK, &[0; 8])).unwrap();
    assert_eq!(watch.handle_input(now, &ping), Err(Flood::Control));
    let later = now + Duration::from_secs(1);
    let mut watch = opened(now);
    for _ in 0..CONTROL_BURST {
        watch.handle_input(now, &frame(0x10, 0, b"u=1")).unwrap();
    }
    for _ in 0..100 {
        watch.handle_input(later, &ping).unwrap();
    }
    assert_eq!(watch.handle_input(later, &ping), Err(Flood::Control));
}

#[test]
fn resets_are_bounded_whatever_they_come_with() {
    let now = Instant::now();
    let mut pair = frame(HEADERS, END_HEADERS | 1, b"x");
    pair.extend(frame(RST_STREAM, 0, &[0; 4]));
    let mut watch = opened(now);
    for _ in 0..RESET_BURST {
        watch.handle_input(now, &pair).unwrap();
    }
    assert_eq!(watch.handle_input(now, &pair), Err(Flood::Resets));
}

#[test]
fn window_updates_are_bounded_by_output() {
    let now = Instant::now();
    let update = frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]);
    let mut watch = opened(now);
    for _ in 0..WINDOW_BURST {
        watch.handle_input(now, &update).unwrap();
    }
    watch.handle_output(2 * OUTPUT_PER_WINDOW);
    watch.handle_input(now, &update).unwrap();
    watch.handle_input(now, &update).unwrap();
    assert_eq!(watch.handle_input(now, &update), Err(Flood::Windows));
}

#[test]
fn the_place_behind_the_first_frame() {
    let now = Instant::now();
    for payload in [&[][..], &[0; 12]] {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, payload));
        let place = bytes.len();
        bytes.extend(frame(PING, 0, &[0; 8]));
        let mut watch = FrameWatch::new(now);
        let mut fed = 0;
        while !watch.is_behind_first_frame() {
            let piece = &bytes[fed..fed + watch.sure_len()];
            watch.handle_input(now, piece).unwrap();
            fed += piece.len();
        }
        assert_eq!(fed, place);
        watch.handle_input(now, &bytes[place..place + 1]).unwrap();
        assert!(!watch.is_behind_first_frame());
    }
}

#[test]
fn whether_pushes_are_taken() {
    let now = Instant::now();
    let window = [0, 4, 0, 0, 0, 2];
    let cases: [(&[[u8; 6]], bool); 5] = [
        (&[], true),
        (&[window, [0, 2, 0, 0, 0, 0]], false),
        (&[[0, 2, 0, 0, 0, 1], window], true),
        (&[[0, 2, 0, 0, 0, 0], [0, 2, 0, 0, 0, 1]], true),
        (&[[2, 2, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0]], true),
    ];
    for (settings, expected) in cases {
        let mut bytes = frame(SETTINGS, 0, &settings.concat());
        bytes.extend(frame(DATA, 0, &[0, 2, 0, 0, 0, 0]));
        for size in 1..=bytes.len() {
            let mut watch = opened(now);
            for piece in bytes.chunks(size) {
                watch.handle_input(now, piece).unwrap();
            }
            assert_eq!(watch.accepts_push(), expected, "{settings:?} in {size}s");
        }
    }
}
