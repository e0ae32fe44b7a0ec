//! Limits: what is just allowed, and what is just not, whether or not it comes to an end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peer;

use granian_proto::h1::Options;
use peer::{Peer, chunked, options};

fn small() -> Options {
    Options {
        max_head_size: 1000,
        max_target_size: 100,
        max_fields: 4,
        max_body_size: Some(10),
        ..options()
    }
}

fn says(text: &str) -> Vec<String> {
    Peer::new(small()).says(text)
}

#[test]
fn target() {
    let get = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(says(&get(100)).len(), 2);
    assert_eq!(says(&get(101)), ["refused 414"]);
    assert_eq!(says(&get(400)), ["refused 414"]);
    assert_eq!(says(&get(4000)), ["refused 414"]);
    assert_eq!(
        says(&format!("GET /{}", "x".repeat(300))),
        [""; 0],
        "may still be a bad line"
    );
    assert_eq!(says(&format!("GET /{}", "x".repeat(400))), ["refused 414"]);
}

#[test]
fn target_larger_than_the_head() {
    let options = Options {
        max_head_size: 50,
        ..small()
    };
    let text = format!("GET /{}", "x".repeat(60));
    assert_eq!(Peer::new(options).says(&text), ["refused 414"]);
}

#[test]
fn a_line_that_never_ends() {
    assert_eq!(says(&"x".repeat(2000)), ["refused 400"]);
    assert_eq!(says(&format!("G(T {}", "x".repeat(2000))), ["refused 400"]);
}

#[test]
fn head_size() {
    let get = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
    };
    assert_eq!(says(&get(1000)).len(), 2);
    assert_eq!(says(&get(1001)), ["refused 431"]);
    assert_eq!(says(&get(5000)), ["refused 431"]);
    assert_eq!(says(&get(5000)[..999]), [""; 0]);
    assert_eq!(says(&get(5000)[..1000]), ["refused 431"]);
}

#[test]
fn head_size_is_that_of_one_head() {
    let mut peer = Peer::new(small());
    let get = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(900)
    );
    peer.says(&get.repeat(3));
    peer.answers();
    assert_eq!(peer.polls().len(), 2);
}

#[test]
fn fields() {
    let get = |fields: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: x\r\n".repeat(fields - 1)
        )
    };
    assert_eq!(says(&get(4)).len(), 2);
    assert_eq!(says(&get(5)), ["refused 431"]);
    assert_eq!(says(&get(9).trim_end()[..60]), ["refused 431"]);
}

#[test]
fn many_fields() {
    let fields: String = (0..255)
        .map(|number| format!("X-{number}: x\r\n"))
        .collect();
    let get = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(Peer::new(options()).says(&get).len(), 2);
}

fn upload(length: u64) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn body() {
    assert_eq!(says(&upload(10)), ["request /"]);
    assert_eq!(says(&upload(11)), ["refused 413"]);
    assert_eq!(Peer::new(options()).says(&upload(u64::MAX)), ["request /"]);
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunked_body() {
    let body = chunked(&["01234", "56789"]);
    let expected = ["request /", "data 01234", "data 56789", "end"];
    assert_eq!(says(&format!("{CHUNKED}{body}")), expected);
    let body = chunked(&["01234", "567890"]);
    let expected = ["request /", "data 01234", "refused 413"];
    assert_eq!(says(&format!("{CHUNKED}{body}")), expected);
}

#[test]
fn chunk_extensions() {
    let options = Options {
        max_body_size: None,
        ..small()
    };
    let run = |lines: usize, len: usize| {
        let extension = "x".repeat(len - 1);
        let body = format!("1;{extension}\r\n.\r\n").repeat(lines);
        Peer::new(options)
            .says(&format!("{CHUNKED}{body}0\r\n\r\n"))
            .pop()
            .unwrap()
    };
    assert_eq!(run(1, 16 * 1024), "end");
    assert_eq!(run(1, 16 * 1024 + 1), "refused 400");
    assert_eq!(run(16, 1024), "end");
    assert_eq!(run(17, 1024), "refused 400");
    let endless = format!("{CHUNKED}1;{}", "x".repeat(17 * 1024));
    assert_eq!(
        Peer::new(options).says(&endless),
        ["request /", "refused 400"]
    );
}

#[test]
fn chunk_size_that_never_ends() {
    assert_eq!(
        says(&format!("{CHUNKED}{}", "0".repeat(20_000))),
        ["request /", "refused 400"]
    );
    assert_eq!(
        says(&format!("{CHUNKED}{}\r\n\r\n", "0".repeat(16))),
        ["request /", "end"]
    );
    assert_eq!(
        says(&format!("{CHUNKED}{}\r\n\r\n", "0".repeat(17))),
        ["request /", "refused 400"]
    );
}

#[test]
fn trailers() {
    let run = |fields: &str| says(&format!("{CHUNKED}0\r\n{fields}")).pop().unwrap();
    assert_eq!(
        run(&format!("{}\r\n", "X: x\r\n".repeat(4))),
        "end with 4 trailers"
    );
    assert_eq!(run(&"X: x\r\n".repeat(5)), "refused 431");
    let long = |len: usize| format!("X: {}\r\n\r\n", "x".repeat(len - 7));
    assert_eq!(run(&long(1000)), "end with 1 trailers");
    assert_eq!(run(&long(1001)), "refused 431");
    assert_eq!(run(&long(3000)[..2000]), "refused 431");
}
