//! Wire files in `corpus/h1` and what is to come of them: whole, byte by byte, at every split, and
//! with a request behind them. `UPDATE_CORPUS=1` writes the expectations.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod driver;

use std::fs;
use std::path::{Path, PathBuf};

use driver::{Policy, options, transcript};

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

fn cases(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus/h1")
        .join(kind);
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "http")
        })
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    cases.sort();
    assert!(cases.len() > 40);
    cases
}

fn whole(data: &[u8]) -> String {
    transcript(&[data], options(), Policy::AtEnd)
}

fn compare(kind: &str) {
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (path, data) in cases(kind) {
        let found = whole(&data);
        let expected = path.with_extension("txt");
        if update {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
        assert_eq!(
            found.contains("\nrefused") || found.starts_with("refused"),
            kind == "invalid"
        );
    }
}

#[test]
fn valid() {
    compare("valid");
}

#[test]
fn invalid() {
    compare("invalid");
}

#[test]
fn in_any_pieces() {
    for (path, data) in [cases("valid"), cases("invalid")].concat() {
        for policy in [Policy::AtEnd, Policy::AtRequest] {
            let run = |pieces: &[&[u8]]| transcript(pieces, options(), policy);
            let expected = run(&[&data]);
            let bytes: Vec<&[u8]> = data.chunks(1).collect();
            assert_eq!(run(&bytes), expected, "{}, byte by byte", path.display());
            for at in 1..data.len() {
                let (first, second) = data.split_at(at);
                assert_eq!(
                    run(&[first, second]),
                    expected,
                    "{}, split at {at}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn with_a_request_behind() {
    for (path, data) in cases("valid") {
        let alone = whole(&data);
        let (requests, _) = alone.split_once("> ").unwrap();
        let expected = if alone.contains("connection: close") {
            requests.to_owned()
        } else {
            requests.to_owned() + whole(NEXT).split_once("> ").unwrap().0
        };
        let found = whole(&[data, NEXT.to_vec()].concat());
        assert_eq!(
            found.split_once("> ").unwrap().0,
            expected,
            "{}",
            path.display()
        );
    }
}

#[test]
fn nothing_follows_a_refusal() {
    for (path, data) in cases("invalid") {
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("cut-off")
        {
            continue;
        }
        assert_eq!(
            whole(&[&data, NEXT].concat()),
            whole(&data),
            "{}",
            path.display()
        );
    }
}
