//! The invariants of the fuzz targets, driven for a moment by damaged corpus files and random
//! operations. The same every time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod driver;
mod invariants;

use std::fs;
use std::path::Path;

/// Enough for a test; the fuzz targets go on for as long as one likes.
const ROUNDS: usize = 5_000;

#[test]
fn request_head() {
    let corpus = corpus();
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        invariants::request_head(&random.damaged(&corpus));
    }
}

#[test]
fn chunked_body() {
    let corpus: Vec<Vec<u8>> = corpus()
        .into_iter()
        .filter_map(|data| {
            let head = b"chunked\r\n\r\n";
            let at = data.windows(head.len()).position(|window| window == head)?;
            Some(data[at + head.len()..].to_vec())
        })
        .collect();
    assert!(corpus.len() > 20);
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        invariants::chunked_body(&random.damaged(&corpus));
    }
}

#[test]
fn connection() {
    let mut random = Random(3);
    for _ in 0..20 * ROUNDS {
        let len = random.below(60);
        let operations: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        invariants::connection(&operations);
    }
}

#[test]
fn websocket() {
    let mut random = Random(4);
    for _ in 0..ROUNDS {
        invariants::websocket(&random.frames());
    }
}

#[test]
fn upgrade() {
    let lines = [
        "; server_max_window_bits=15",
        "; client_max_window_bits",
        ", permessage-deflate; client_max_window_bits=\"10\"",
        "\r\nsec-websocket-protocol: chat, ,caf\u{e9}",
        "\r\nconnection: x-hop, te",
        "\r\nx-hop: 1",
        "\r\nx-long: ",
        "x: 1",
        "0123456789".repeat(20).as_str(),
    ]
    .map(|line| line.as_bytes().to_vec());
    let mut random = Random(6);
    for _ in 0..ROUNDS {
        let count = random.below(5);
        let parts: Vec<_> = (0..count).map(|_| random.damaged(&lines)).collect();
        invariants::upgrade(&parts.concat());
    }
}

#[test]
fn proxy_header() {
    let lines = [
        &b"PROXY TCP4 1.2.3.4 10.0.0.1 5678 80\r\n"[..],
        b"PROXY TCP6 2001:db8::1 fd00::1 443 80\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\x01\x02\x03\x04\x0a\0\0\x01\x16\x2e\0\x50\x20\0\x05\x01\0\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET / HTTP/1.1\r\n",
    ]
    .map(<[u8]>::to_vec);
    let mut random = Random(7);
    for _ in 0..ROUNDS {
        invariants::proxy_header(&random.damaged(&lines));
    }
}

#[test]
fn forwarded() {
    let lines = [
        "\x001.2.3.4, [2001:db8::1]:99, 10.0.0.7",
        "\x01https, http",
        "\x02a.example:8443, b",
        "\x038443, 443",
        "\x04/a, /b/c/",
        "\x05for=\"[2001:db8::1]:99\";proto=https;host=a, for=_b;by=c",
    ]
    .map(|line| line.as_bytes().to_vec());
    let mut random = Random(8);
    for _ in 0..ROUNDS {
        let count = random.below(5);
        let parts: Vec<_> = (0..count).map(|_| random.damaged(&lines)).collect();
        invariants::forwarded(&parts.join(&b'\n'));
    }
}

#[test]
fn frame_watch() {
    let mut random = Random(5);
    for _ in 0..ROUNDS / 50 {
        let mut frames = Vec::new();
        for _ in 0..=random.below(60) {
            let len = random.below(20);
            let kind = [0, 1, 3, 4, 6, 8, 9, 0x10][random.below(8)];
            frames.extend([0, 0, len as u8, kind, random.next() as u8, 0, 0, 0, 1]);
            frames.resize(frames.len() + len, 0);
        }
        frames.truncate(frames.len() - random.below(5));
        invariants::frame_watch(&frames);
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/h1");
    let mut paths: Vec<_> = ["valid", "invalid"]
        .iter()
        .flat_map(|kind| fs::read_dir(folder.join(kind)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "http")
        })
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// xorshift64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// Frames of a client, most of them legal, behind a byte that says whether they may be deflated.
    fn frames(&mut self) -> Vec<u8> {
        let mut wire = vec![self.next() as u8];
        for _ in 0..self.below(6) {
            let len = [0, 3, 100, 300][self.below(4)];
            let first = [
                0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1, 0xc2,
            ][self.below(11)];
            wire.push(if self.below(20) == 0 {
                self.next() as u8
            } else {
                first
            });
            match len {
                300 => wire.extend([0xfe, 1, 44]),
                len => wire.push(0x80 | len as u8),
            }
            wire.extend([0; 4]); // a mask of zeros
            let is_text = self.below(3) > 0;
            for _ in 0..len {
                wire.push(if is_text { b'a' } else { self.next() as u8 });
            }
        }
        wire.truncate(wire.len() - self.below(2).min(wire.len() - 1));
        wire
    }

    /// A file of the corpus with up to four places of damage.
    fn damaged(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = corpus[self.below(corpus.len())].clone();
        for _ in 0..self.below(5) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(4)).min(data.len());
            let other = &corpus[self.below(corpus.len())];
            let piece = match self.below(6) {
                0 => vec![self.next() as u8],
                1 => data[..at].to_vec(),
                2 => other[self.below(other.len() + 1)..].to_vec(),
                3 => vec![],
                _ => {
                    let marks = [
                        &b"\r"[..],
                        b"\n",
                        b"\r\n",
                        b"\0",
                        b" ",
                        b":",
                        b",",
                        b";",
                        b"0",
                        b"f",
                    ];
                    marks[self.below(marks.len())].to_vec()
                }
            };
            data.splice(at..end, piece);
        }
        data.truncate(2_000);
        data
    }
}
