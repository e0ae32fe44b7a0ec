//! Deadlines: what each wait may take, and what its end means.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use std::time::Duration;

use granian_proto::h1::Options;
use granian_proto::{Content, PaceBounds, PeerError, ResponseHead, Timeout};
use peer::{Peer, chunked, options};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
const LATE: Option<Timeout> = Some(Timeout::Refuse(PeerError::TimedOut));

#[test]
fn a_connection_that_says_nothing() {
    let mut peer = Peer::new(options());
    peer.polls();
    assert_eq!(peer.deadline(), Some(30));
    assert_eq!(peer.waits(29), None);
    assert_eq!(peer.waits(1), Some(Timeout::Idle));
    assert!(peer.connection.is_closing());
    assert_eq!(peer.deadline(), None);
    assert_eq!(peer.says(GET), [""; 0]);
}

#[test]
fn empty_lines_are_nothing() {
    let mut peer = Peer::new(options());
    peer.waits(10);
    peer.says("\r\n");
    assert_eq!(peer.waits(20), Some(Timeout::Idle));
}

#[test]
fn the_first_head_has_its_time_from_the_start() {
    let mut peer = Peer::new(options());
    peer.waits(10);
    peer.says("GET");
    assert_eq!(peer.deadline(), Some(20));
    peer.waits(10);
    peer.says(" / HTTP/1.1\r\n");
    assert_eq!(peer.deadline(), Some(10), "pieces don't extend it");
    assert_eq!(peer.waits(10), LATE);
    peer.gets_refusal(PeerError::TimedOut);
    assert!(peer.heard().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(peer.connection.is_closing());
}

#[test]
fn the_next_request() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    assert_eq!(peer.deadline(), None, "the peer waits for us");
    peer.waits(1000);
    peer.answers();
    peer.polls();
    assert_eq!(peer.deadline(), Some(15));
    peer.waits(5);
    peer.polls();
    assert_eq!(peer.deadline(), Some(10));
    peer.says("\r\n");
    assert_eq!(peer.deadline(), Some(10));
    peer.says("G");
    assert_eq!(peer.deadline(), Some(30), "from the first byte of the head");
    peer.waits(20);
    peer.says("ET / ");
    assert_eq!(peer.deadline(), Some(10));
    assert_eq!(peer.waits(10), LATE);
}

#[test]
fn the_next_request_that_does_not_come() {
    let mut peer = Peer::new(options());
    peer.says(GET);
    peer.answers();
    peer.polls();
    assert_eq!(peer.waits(15), Some(Timeout::Idle));
    assert_eq!(peer.heard(), "");
}

#[test]
fn a_body_that_stops() {
    let mut peer = Peer::new(options());
    peer.says(UPLOAD);
    assert_eq!(peer.deadline(), Some(60));
    peer.waits(50);
    peer.polls();
    assert_eq!(peer.deadline(), Some(10));
    assert_eq!(peer.says("x"), ["data x"]);
    assert_eq!(peer.deadline(), Some(60), "each piece has its own time");
    assert_eq!(peer.waits(60), LATE);
    peer.gets_refusal(PeerError::TimedOut);
    assert!(peer.heard().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_body_that_is_not_asked_for() {
    let mut peer = Peer::new(options());
    peer.says(UPLOAD);
    peer.input.extend_from_slice(b"abc");
    assert!(peer.polls_once().is_some());
    assert_eq!(peer.deadline(), None, "nobody waits for more");
    assert_eq!(peer.waits(1000), None);
    peer.polls();
    assert_eq!(peer.deadline(), Some(60));
}

#[test]
fn chunk_framing_is_no_progress() {
    let mut peer = Peer::new(options());
    peer.says("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.waits(30);
    peer.says("5;a");
    assert_eq!(peer.deadline(), Some(30));
    assert_eq!(peer.waits(30), LATE);
}

#[test]
fn a_body_that_stops_behind_the_response_head() {
    let mut peer = Peer::new(options());
    peer.says(UPLOAD);
    peer.gets_head(&ResponseHead::new(200).unwrap(), Content::Stream)
        .unwrap();
    peer.heard();
    assert_eq!(peer.waits(60), LATE);
    peer.gets_refusal(PeerError::TimedOut);
    assert_eq!(peer.heard(), "");
    assert!(peer.connection.is_closing());
}

#[test]
fn without_a_body_timeout() {
    let mut peer = Peer::new(Options {
        body_pace: PaceBounds {
            timeout: Duration::MAX,
            min_rate: None,
        },
        ..options()
    });
    peer.says(UPLOAD);
    assert_eq!(peer.deadline(), None);
}

#[test]
fn a_timeout_that_no_clock_reaches() {
    let endless = Options {
        head_timeout: Duration::MAX,
        ..options()
    };
    let mut peer = Peer::new(endless);
    assert_eq!(peer.deadline(), None);
    peer.says(GET);
    peer.answers();
    peer.says("G");
    assert_eq!(peer.deadline(), None);
}

#[test]
fn the_time_for_a_continue_is_ours() {
    let mut peer = Peer::new(options());
    peer.says("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(peer.deadline(), None);
    peer.hears_continue("HTTP/1.1 100 Continue\r\n\r\n");
    peer.polls();
    assert_eq!(peer.deadline(), Some(60));
}

#[test]
fn a_body_that_nobody_reads() {
    let mut peer = Peer::new(options());
    peer.says(UPLOAD);
    assert_eq!(peer.deadline(), Some(60));
    peer.answers();
    assert_eq!(peer.deadline(), None, "until the next poll");
    peer.polls();
    assert_eq!(peer.deadline(), Some(15));
    peer.waits(10);
    peer.says("abc");
    assert_eq!(peer.deadline(), Some(5), "pieces don't extend it");
    assert_eq!(peer.waits(5), Some(Timeout::Idle));
    assert!(peer.connection.is_closing());
    assert_eq!(peer.heard(), "");
}

#[test]
fn skipped_in_time() {
    let mut peer = Peer::new(options());
    peer.says("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.answers();
    peer.polls();
    peer.waits(10);
    peer.says(&chunked(&["abc"]));
    assert_eq!(peer.deadline(), Some(15));
    assert!(peer.connection.is_idle());
}
