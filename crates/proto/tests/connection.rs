//! Conversations: what is said on the wire, in the order it is said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use granian_proto::{Content, PeerError, ResponseHead, SendError, Trailers};
use peer::{DATE, Peer, chunked, options};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";
const OLD_KEEP_ALIVE: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const TAIL: &str = "server: granian\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status).unwrap();
    for (name, value) in fields {
        head.append(name.as_bytes(), value.as_bytes()).unwrap();
    }
    head
}

fn ok() -> ResponseHead {
    head(200, &[])
}

#[test]
fn order_of_the_lines_of_a_head() {
    let mut peer = Peer::new(options());
    peer.says("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let fields = [("Content-Type", "text/plain"), ("X-B", " b "), ("x-a", "a")];
    peer.gets_head(&head(200, &fields), Content::Length(5))
        .unwrap();
    peer.gets_data("hello").unwrap();
    peer.gets_end(None).unwrap();
    assert_eq!(
        peer.heard(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-b: b\r\nx-a: a\r\ncontent-length: 5\r\n\
         server: granian\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close\r\n\r\nhello"
    );
    assert!(peer.connection.is_closing());
}

#[test]
fn fields_of_the_application_win() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    let fields = [
        ("Server", "own"),
        ("Date", "today"),
        ("Content-Length", "0"),
    ];
    peer.gets_head(&head(599, &fields), Content::Stream)
        .unwrap();
    peer.gets_end(None).unwrap();
    assert_eq!(
        peer.heard(),
        "HTTP/1.1 599 \r\nserver: own\r\ndate: today\r\ncontent-length: 0\r\n\r\n"
    );
}

/// Request, status, length that the application gives, content, what the head says of the length,
/// whether the body goes out.
type FramingCase = (
    &'static str,
    u16,
    Option<&'static str>,
    Content,
    &'static str,
    bool,
);

const CHUNKED_LINE: &str = "transfer-encoding: chunked\r\n";

#[rustfmt::skip]
const FRAMING: [FramingCase; 14] = [
    (GET, 200, None, Content::Length(5), "content-length: 5\r\n", true),
    (GET, 200, None, Content::Stream, CHUNKED_LINE, true),
    (GET, 200, None, Content::None, "content-length: 0\r\n", false),
    (GET, 200, Some("5"), Content::Stream, "content-length: 5\r\n", true),
    (OLD_KEEP_ALIVE, 200, None, Content::Length(5), "content-length: 5\r\n", true),
    (HEAD, 200, None, Content::Length(5), "content-length: 5\r\n", false),
    (HEAD, 200, None, Content::Stream, CHUNKED_LINE, false),
    (HEAD, 200, Some("9"), Content::Length(0), "content-length: 9\r\n", false),
    (HEAD, 200, None, Content::Length(0), "", false),
    (GET, 204, None, Content::Length(5), "", false),
    (GET, 204, Some("5"), Content::Stream, "", false),
    (GET, 205, None, Content::Length(5), "content-length: 0\r\n", false),
    (GET, 304, None, Content::Length(0), "", false),
    (GET, 304, Some("5"), Content::None, "content-length: 5\r\n", false),
];

#[test]
fn framing() {
    for case in FRAMING {
        let (request, status, length, content, line, has_body) = case;
        let mut peer = Peer::new(options());
        peer.says(request);
        let mut head = head(status, &[]);
        if let Some(length) = length {
            head.append(b"content-length", length.as_bytes()).unwrap();
        }
        peer.gets_head(&head, content).unwrap();
        if content != Content::None {
            peer.gets_data("hello").unwrap();
        }
        peer.gets_end(None).unwrap();
        let heard = peer.heard();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        let (_, lines) = head.split_once("\r\n").unwrap();
        assert!(
            format!("{lines}\r\n").starts_with(&format!("{line}{TAIL}")),
            "{case:?}: {heard}"
        );
        let expected = match line {
            _ if !has_body => String::new(),
            CHUNKED_LINE => chunked(&["hello"]),
            _ => String::from("hello"),
        };
        assert_eq!(body, expected, "{case:?}");
        assert!(!peer.connection.is_closing(), "{case:?}");
    }
}

#[test]
fn http10_stream_ends_with_the_connection() {
    let mut peer = Peer::new(options());
    peer.says(OLD_KEEP_ALIVE);
    peer.gets_head(&ok(), Content::Stream).unwrap();
    assert!(peer.connection.is_close_delimited());
    peer.gets_data("hello").unwrap();
    peer.gets_end(None).unwrap();
    assert!(peer.connection.is_closing() && !peer.connection.is_close_delimited());
    assert_eq!(
        peer.heard(),
        format!("HTTP/1.1 200 OK\r\n{TAIL}connection: close\r\n\r\nhello")
    );
}

#[test]
fn a_cut_response_says_how_it_was_delimited() {
    let mut peer = Peer::new(options());
    peer.says(OLD);
    peer.gets_head(&ok(), Content::Stream).unwrap();
    peer.gets_refusal(PeerError::TimedOut);
    assert!(peer.connection.is_closing() && peer.connection.is_close_delimited());
    assert_eq!(peer.gets_data("x"), Err(SendError::Closed));
}

#[test]
fn chunks_and_trailers() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.gets_head(&ok(), Content::Stream).unwrap();
    peer.heard();
    peer.gets_data("hello").unwrap();
    peer.gets_data("").unwrap();
    peer.gets_data(&"x".repeat(0x1a0)).unwrap();
    let mut trailers = Trailers::new();
    trailers.append(b"X-Digest", b"abc").unwrap();
    peer.gets_end(Some(&trailers)).unwrap();
    let long = "x".repeat(0x1a0);
    let expected = format!("5\r\nhello\r\n1a0\r\n{long}\r\n0\r\nx-digest: abc\r\n\r\n");
    assert_eq!(peer.heard(), expected);
}

#[test]
fn a_chunk_that_was_not_ended_is() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.gets_head(&ok(), Content::Stream).unwrap();
    peer.heard();
    for _ in 0..2 {
        peer.connection.begin_data(1, &mut peer.output).unwrap();
        peer.output.push(b'x');
    }
    peer.gets_end(None).unwrap();
    assert_eq!(peer.heard(), chunked(&["x", "x"]));
}

#[test]
fn trailers_have_no_place_behind_a_length() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.gets_head(&ok(), Content::Length(1)).unwrap();
    peer.gets_data("x").unwrap();
    peer.heard();
    let mut trailers = Trailers::new();
    trailers.append(b"a", b"b").unwrap();
    peer.gets_end(Some(&trailers)).unwrap();
    assert_eq!(peer.heard(), "");
}

#[test]
fn bodies_of_the_wrong_length() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.gets_head(&ok(), Content::Length(3)).unwrap();
    assert_eq!(peer.gets_data("long"), Err(SendError::TooMuchBody));
    peer.gets_data("ab").unwrap();
    assert_eq!(peer.gets_data("cd"), Err(SendError::TooMuchBody));
    assert_eq!(peer.gets_end(None), Err(SendError::TooLittleBody));
    assert!(peer.connection.is_closing());
    assert_eq!(peer.gets_end(None), Err(SendError::Closed));
}

#[test]
fn responses_out_of_order() {
    let mut peer = Peer::new(options());
    assert_eq!(
        peer.gets_head(&ok(), Content::None),
        Err(SendError::NoRequest)
    );
    peer.says(GET);
    assert_eq!(peer.gets_data("x"), Err(SendError::NotStarted));
    assert_eq!(peer.gets_end(None), Err(SendError::NotStarted));
    let early = ResponseHead::informational(103).unwrap();
    assert_eq!(
        peer.gets_head(&early, Content::None),
        Err(SendError::WrongStatus)
    );
    assert_eq!(
        peer.connection.send_informational(&ok(), &mut peer.output),
        Err(SendError::WrongStatus)
    );
    assert_eq!(peer.heard(), "");
    peer.gets_head(&ok(), Content::None).unwrap();
    assert_eq!(
        peer.gets_head(&ok(), Content::None),
        Err(SendError::AlreadyStarted)
    );
    assert!(!peer.connection.is_response_complete());
    peer.gets_end(None).unwrap();
    assert!(peer.connection.is_response_complete());
    assert_eq!(peer.gets_end(None), Err(SendError::NoRequest));
}

#[test]
fn requests_wait_for_their_turn() {
    let mut peer = Peer::new(options());
    assert_eq!(peer.says(&format!("{GET}{GET}")), ["request /", "end"]);
    assert_eq!(peer.input.len(), GET.len());
    peer.gets_head(&ok(), Content::Length(1)).unwrap();
    assert_eq!(peer.polls(), [""; 0]);
    peer.gets_data("x").unwrap();
    peer.gets_end(None).unwrap();
    assert_eq!(peer.polls(), ["request /", "end"]);
    assert!(!peer.connection.is_idle());
    peer.answers();
    assert!(peer.connection.is_idle());
}

#[test]
fn idle_is_between_requests() {
    let mut peer = Peer::new(options());
    assert!(peer.connection.is_idle());
    peer.says("\r\n\r");
    assert!(peer.connection.is_idle(), "an empty line is nothing");
    peer.says("\nG");
    assert!(!peer.connection.is_idle());
}

#[test]
fn who_closes() {
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (request, line) in [
        (GET, ""),
        (close, "connection: close\r\n"),
        (OLD, "connection: close\r\n"),
        (OLD_KEEP_ALIVE, "connection: keep-alive\r\n"),
    ] {
        let mut peer = Peer::new(options());
        peer.says(request);
        let heard = peer.answers();
        assert!(heard.ends_with(&format!("{TAIL}{line}\r\n")), "{heard}");
        assert_eq!(
            peer.connection.is_closing(),
            line == "connection: close\r\n"
        );
    }
}

#[test]
fn who_sends_nothing_more() {
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let last = upload(5, "Connection: close\r\n");
    for (request, is_satisfied) in [
        (GET, false),
        (close, true),
        (OLD, true),
        (OLD_KEEP_ALIVE, false),
        (&*last, false),
        (&*format!("{last}hell"), false),
        (&*format!("{last}hello"), true),
    ] {
        let mut peer = Peer::new(options());
        peer.says(request);
        assert!(!peer.connection.is_satisfied());
        peer.answers();
        assert_eq!(peer.connection.is_satisfied(), is_satisfied, "{request}");
    }
}

#[test]
fn the_application_asks_for_the_close() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.gets_head(&head(200, &[("Connection", "close")]), Content::None)
        .unwrap();
    peer.gets_end(None).unwrap();
    assert!(peer.heard().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
    assert_eq!(peer.says(GET), [""; 0]);
}

#[test]
fn keep_alive_switched_off() {
    let mut peer = Peer::new(granian_proto::h1::Options {
        keep_alive: false,
        ..options()
    });
    peer.says(OLD_KEEP_ALIVE);
    assert!(peer.answers().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
}

#[test]
fn draining() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.connection.disable_keep_alive();
    assert!(peer.answers().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
}

fn upload(length: usize, fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n")
}

#[test]
fn expectation() {
    let mut peer = Peer::new(options());
    peer.says(&upload(5, "Expect: 100-continue\r\n"));
    assert_eq!(
        peer.connection.poll_timeout(),
        None,
        "the peer waits for us"
    );
    peer.hears_continue("HTTP/1.1 100 Continue\r\n\r\n");
    peer.hears_continue("");
    assert_eq!(peer.says("hello"), ["data hello", "end"]);
    assert!(!peer.answers().contains("connection: close"));
}

#[test]
fn expectation_that_is_not_met_closes() {
    let mut peer = Peer::new(options());
    peer.says(&upload(5, "Expect: 100-continue\r\n"));
    assert!(peer.answers().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
    peer.hears_continue("");
}

#[test]
fn expectation_of_a_peer_that_does_not_wait() {
    let mut peer = Peer::new(options());
    let request = upload(5, "Expect: 100-continue\r\n");
    assert_eq!(peer.says(&format!("{request}he")), ["request /", "data he"]);
    peer.hears_continue("");
    assert!(!peer.answers().contains("connection: close"));
    assert_eq!(peer.says(&format!("llo{GET}")), ["request /", "end"]);
}

#[test]
fn no_continue_behind_the_head() {
    let mut peer = Peer::new(options());
    peer.says(&upload(5, "Expect: 100-continue\r\n"));
    peer.gets_head(&ok(), Content::Stream).unwrap();
    peer.heard();
    peer.hears_continue("");
}

#[test]
fn early_hints() {
    let mut hints = ResponseHead::informational(103).unwrap();
    hints.append(b"Link", b"</a>; rel=preload").unwrap();
    for (request, expected) in [
        (
            GET,
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
        ),
        (OLD, ""),
    ] {
        let mut peer = Peer::new(options());
        peer.says(request);
        peer.connection
            .send_informational(&hints, &mut peer.output)
            .unwrap();
        assert_eq!(peer.heard(), expected);
        peer.answers();
        let sent = peer.connection.send_informational(&hints, &mut peer.output);
        assert_eq!(sent, Err(SendError::NoRequest));
    }
}

#[test]
fn a_small_body_left_unread_is_skipped() {
    let mut peer = Peer::new(options());
    peer.says(&upload(65_536, ""));
    assert!(!peer.answers().contains("connection: close"));
    assert!(!peer.connection.is_closing() && !peer.connection.is_idle());
    assert_eq!(peer.says(&"x".repeat(65_535)), [""; 0]);
    assert_eq!(peer.says(&format!("x{GET}")), ["request /", "end"]);
}

#[test]
fn a_large_body_left_unread_closes() {
    let mut peer = Peer::new(options());
    peer.says(&upload(65_537, ""));
    assert!(peer.answers().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
}

#[test]
fn a_large_body_read_in_time_keeps_the_connection() {
    let mut peer = Peer::new(options());
    peer.says(&upload(100_000, ""));
    peer.says(&"x".repeat(50_000));
    assert!(!peer.answers().contains("connection: close"));
    assert_eq!(
        peer.says(&format!("{}{GET}", "x".repeat(50_000))),
        ["request /", "end"]
    );
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn small_chunks_left_unread_are_skipped() {
    let mut peer = Peer::new(options());
    peer.says(CHUNKED);
    assert!(!peer.answers().contains("connection: close"));
    let body = chunked(&["hello", "world"]);
    assert_eq!(peer.says(&format!("{body}{GET}")), ["request /", "end"]);
}

#[test]
fn large_chunks_left_unread_close() {
    let mut peer = Peer::new(options());
    peer.says(CHUNKED);
    peer.answers();
    let chunk = chunked(&[&"x".repeat(40_000)]);
    let chunk = chunk.strip_suffix("0\r\n\r\n").unwrap();
    peer.says(chunk);
    assert!(!peer.connection.is_closing());
    peer.says(chunk);
    assert!(peer.connection.is_closing());
    assert_eq!(peer.says(&format!("0\r\n\r\n{GET}")), [""; 0]);
}

#[test]
fn a_broken_body_left_unread_closes_without_a_word() {
    let mut peer = Peer::new(options());
    peer.says(CHUNKED);
    peer.answers();
    assert_eq!(peer.says("nonsense\r\n"), [""; 0]);
    assert!(peer.connection.is_closing());
}

#[test]
fn a_request_without_a_body_needs_no_skipping() {
    let mut peer = Peer::new(options());
    peer.input.extend_from_slice(GET.as_bytes());
    assert!(peer.polls_once().is_some());
    peer.answers();
    assert!(peer.connection.is_idle());
}

#[test]
fn refusals() {
    let mut peer = Peer::new(options());
    assert_eq!(peer.says("nonsense\r\n"), ["refused 400"]);
    assert!(!peer.connection.is_closing(), "the answer is still due");
    peer.gets_refusal(PeerError::RequestLine);
    assert_eq!(
        peer.heard(),
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\
         date: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close\r\n\r\n"
    );
    assert!(peer.connection.is_closing());
    assert_eq!(peer.says(GET), [""; 0]);
}

#[test]
fn a_refusal_behind_the_head_is_left_out() {
    let mut peer = Peer::new(options());
    peer.says(CHUNKED);
    peer.gets_head(&ok(), Content::Stream).unwrap();
    peer.gets_data("hello").unwrap();
    peer.heard();
    assert_eq!(peer.says("nonsense\r\n"), ["refused 400"]);
    peer.gets_refusal(PeerError::Chunk);
    assert_eq!(peer.heard(), "");
    assert!(peer.connection.is_closing() && !peer.connection.is_close_delimited());
}

#[test]
fn a_response_to_a_broken_body_can_be_completed() {
    let mut peer = Peer::new(options());
    peer.says(CHUNKED);
    assert_eq!(peer.says("nonsense\r\n"), ["refused 400"]);
    assert!(peer.answers().ends_with("connection: close\r\n\r\n"));
    assert!(peer.connection.is_closing());
}

#[test]
fn upgrade() {
    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut peer = Peer::new(options());
    assert_eq!(
        peer.says(&format!("{offer}frames")),
        ["request / upgrade", "end"]
    );
    let mut head = ResponseHead::switching_protocols();
    head.append(b"Sec-WebSocket-Accept", b"abc").unwrap();
    peer.connection
        .send_upgrade(&head, "websocket", DATE, &mut peer.output)
        .unwrap();
    assert_eq!(
        peer.heard(),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: abc\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
    );
    assert!(peer.connection.is_upgraded() && !peer.connection.is_closing());
    assert_eq!(peer.polls(), [""; 0]);
    assert_eq!(&peer.input[..], b"frames");
    assert_eq!(peer.gets_head(&ok(), Content::None), Err(SendError::Closed));
}

#[test]
fn upgrades_that_can_not_be() {
    let mut peer = Peer::new(options());
    let switch = ResponseHead::switching_protocols();
    let upgrade = |peer: &mut Peer, head: &ResponseHead| {
        peer.connection
            .send_upgrade(head, "websocket", DATE, &mut peer.output)
    };
    assert_eq!(upgrade(&mut peer, &switch), Err(SendError::NoRequest));
    peer.says(&upload(5, "Connection: upgrade\r\nUpgrade: x\r\n"));
    assert_eq!(upgrade(&mut peer, &ok()), Err(SendError::WrongStatus));
    assert_eq!(upgrade(&mut peer, &switch), Err(SendError::NotUpgradable));
    peer.says("hello");
    upgrade(&mut peer, &switch).unwrap();
}

#[test]
fn the_end_between_requests() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.answers();
    assert_eq!(peer.ends(), [""; 0]);
    assert!(peer.connection.is_closing());
}

#[test]
fn the_end_behind_a_request() {
    let mut peer = Peer::new(options());
    peer.says(&format!("{GET}{GET}GET / HT"));
    assert_eq!(peer.ends(), [""; 0], "the response is still wanted");
    assert!(!peer.answers().contains("connection: close"));
    assert_eq!(peer.polls(), ["request /", "end"]);
    peer.answers();
    assert_eq!(peer.polls(), ["refused 400"]);
}

#[test]
fn the_end_in_a_body() {
    let mut peer = Peer::new(options());
    peer.says(&upload(5, ""));
    peer.says("he");
    assert_eq!(peer.ends(), ["refused 400"]);
    assert_eq!(peer.polls(), [""; 0]);
}

#[test]
fn the_end_in_a_body_that_nobody_reads() {
    let mut peer = Peer::new(options());
    peer.says(&upload(5, ""));
    peer.answers();
    assert_eq!(peer.ends(), [""; 0]);
    assert!(peer.connection.is_closing());
}
