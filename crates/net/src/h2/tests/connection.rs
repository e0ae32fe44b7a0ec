//! How connections live and end: deadlines, pings, the drain, peers that break rules.

use std::time::Duration;

use super::Client;
use crate::close::CloseCause;
use crate::service::{AfterDrain, Stage};
use crate::testing::{Bench, limits};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_silent_client_is_pinged_and_dropped() {
    let mut limits = limits();
    limits.http2.keep_alive_interval = Some(secs(10));
    limits.http2.keep_alive_timeout = secs(5);
    let bench = Bench::with(limits);
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&[PREFACE, SETTINGS].concat());
        bench.settle().await;
        client.recv().await;
        bench.pass(secs(9)).await;
        assert_eq!(client.unread(), 0);
        bench.pass(secs(2)).await;
        let ping = client.recv().await;
        assert_eq!(&ping[..5], b"\0\0\x08\x06\0");
        // Anything that comes is a sign of life.
        bench.pass(secs(4)).await;
        client.send(b"\0\0\x08\x06\x0112345678");
        bench.pass(secs(4)).await;
        assert_eq!(bench.app.cause(), None);
        bench.pass(secs(2)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::PingTimeout));
        assert!(client.was_reset());
    });
}

#[test]
fn a_client_that_answers_pings_stays() {
    let mut limits = limits();
    limits.http2.keep_alive_interval = Some(secs(10));
    limits.http2.keep_alive_timeout = secs(5);
    Client::play(limits, |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        for _ in 0..60 {
            client.bench.pass(secs(10)).await;
        }
        exchange.answer(200, b"late");
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_connection_without_a_first_request_is_closed() {
    Client::play(limits(), |client| async move {
        client.bench.pass(secs(29)).await;
        assert_eq!(client.end(), None);
        client.bench.pass(secs(2)).await;
        assert_eq!(client.end(), Some(None), "GOAWAY with NO_ERROR");
        client.bench.pass(secs(3)).await;
        assert_eq!(client.bench.app.cause(), Some(CloseCause::IdleTimeout));
    });
}

#[test]
fn an_idle_connection_is_closed_later() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        client.bench.app.request().await.exchange.answer(200, b"");
        response.await.unwrap();
        client.bench.pass(secs(179)).await;
        assert_eq!(client.end(), None);
        client.bench.pass(secs(2)).await;
        assert_eq!(client.end(), Some(None));
        client.bench.pass(secs(3)).await;
        assert_eq!(client.bench.app.cause(), Some(CloseCause::IdleTimeout));
    });
}

#[test]
fn a_connection_with_a_request_is_not_idle() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        client.bench.pass(secs(3600)).await;
        exchange.answer(200, b"");
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_preface_has_its_time() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&PREFACE[..10]);
        bench.pass(secs(29)).await;
        assert_eq!(bench.app.cause(), None);
        bench.pass(secs(2)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::IdleTimeout));
    });
}

#[test]
fn a_header_section_has_its_time() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        // HEADERS without END_HEADERS: CONTINUATION is to come.
        client.send(&[PREFACE, SETTINGS, b"\0\0\x01\x01\x01\0\0\0\x01\x82"].concat());
        bench.pass(secs(29)).await;
        client.recv().await;
        bench.pass(secs(2)).await;
        let goaway = client.recv().await;
        assert_eq!(goaway[3], 7);
        assert_eq!(goaway[16], 0xb, "ENHANCE_YOUR_CALM");
        drop(client);
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::HeadTimeout));
    });
}

/// A draining worker finishes what is in flight, and takes no more.
#[test]
fn a_drain_ends_with_the_last_response() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        let bench = &client.bench;
        bench
            .service
            .drain(bench.reactor.clock().now(), AfterDrain::Nothing);
        bench.reactor.wake_all();
        bench.pass(secs(10)).await;
        assert_eq!(client.end(), None);
        let refused = std::future::poll_fn(|cx| client.sender.poll_ready(cx)).await;
        assert!(refused.is_err(), "GOAWAY was received");
        exchange.answer(200, b"whole");
        let body = super::body_of(response.await.unwrap()).await.unwrap();
        assert_eq!(body, b"whole");
        bench.settle().await;
        assert_eq!(client.end(), Some(None));
        assert_eq!(bench.app.cause(), Some(CloseCause::Drained));
    });
}

const GOAWAY: u8 = 7;
const PING: u8 = 6;

/// The types of the frames in `output`, and the payload of the last PING.
fn frames(mut output: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut types, mut ping) = (Vec::new(), Vec::new());
    while let [_, high, low, kind, ..] = *output {
        let end = 9 + usize::from(high) * 256 + usize::from(low);
        types.push(kind);
        if kind == PING {
            ping = output[9..end].to_vec();
        }
        output = &output[end..];
    }
    (types, ping)
}

/// Nothing is under way once the PING behind GOAWAY is acknowledged: it was 2 s until the server closed.
#[test]
fn a_drain_closes_an_idle_client_that_answers() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&[PREFACE, SETTINGS, b"\0\0\0\x04\x01\0\0\0\0"].concat());
        bench.settle().await;
        client.recv().await;
        let now = bench.reactor.clock().now();
        bench.service.drain(now, AfterDrain::Nothing);
        bench.reactor.wake_all();
        bench.settle().await;
        let (types, ping) = frames(&client.recv().await);
        assert_eq!(types, [GOAWAY, PING]);
        assert_eq!(bench.app.cause(), None);
        client.send(&[b"\0\0\x08\x06\x01\0\0\0\0", &ping[..]].concat());
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::Drained));
        let (types, _) = frames(&client.recv().await);
        assert_eq!(types, [GOAWAY]);
        assert!(!client.was_reset());
    });
}

/// A response that was sent during the drain may not have been read: closing at once could take it away.
#[test]
fn a_drain_lingers_behind_a_response() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        let get = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
        client.send(&[PREFACE, SETTINGS, get].concat());
        let exchange = bench.app.request().await.exchange;
        client.recv().await;
        let now = bench.reactor.clock().now();
        bench.service.drain(now, AfterDrain::Nothing);
        bench.reactor.wake_all();
        bench.settle().await;
        let (_, ping) = frames(&client.recv().await);
        client.send(&[b"\0\0\x08\x06\x01\0\0\0\0", &ping[..]].concat());
        exchange.answer(200, b"whole");
        bench.settle().await;
        assert_eq!(bench.app.cause(), None);
        client.recv().await;
        bench.pass(secs(3)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::Drained));
    });
}

/// The codec drains behind a PING; whoever does not answer it is not waited for.
#[test]
fn a_drain_does_not_wait_for_a_silent_client() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&[PREFACE, SETTINGS].concat());
        bench.settle().await;
        bench
            .service
            .drain(bench.reactor.clock().now(), AfterDrain::Nothing);
        bench.reactor.wake_all();
        bench.pass(Duration::from_millis(900)).await;
        assert_eq!(bench.app.cause(), None);
        bench.pass(Duration::from_millis(200)).await;
        bench.pass(secs(3)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::Drained));
    });
}

#[test]
fn what_is_in_flight_is_cut_when_the_worker_cancels() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        client.bench.service.stage.set(Stage::Cancelled);
        client.bench.reactor.wake_all();
        assert!(response.await.is_err());
        assert_eq!(client.bench.app.cause(), Some(CloseCause::Cancelled));
        assert!(exchange.is_closed());
    });
}

#[test]
fn a_client_that_reads_nothing_is_reset() {
    let bench = Bench::new();
    // Room for the server's settings and little more.
    let mut client = Client::serve(&bench, 100);
    bench.run(async {
        // A window that is large enough, and GET http://a/ as the static table has it.
        let window = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff";
        let get = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
        client.send(&[PREFACE, window, get].concat());
        let exchange = bench.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 60_000], false);
        bench.pass(secs(31)).await;
        assert_eq!(bench.app.cause(), None);
        bench.pass(secs(31)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::WriteTimeout));
        assert!(client.was_reset());
        assert!(exchange.is_closed());
    });
}

#[test]
fn a_flood_is_calmed() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&[PREFACE, SETTINGS].concat());
        client.send(&b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(1100));
        bench.settle().await;
        let output = client.recv().await;
        let goaway = &output[output.len() - 17..];
        assert_eq!((goaway[3], goaway[16]), (7, 0xb), "ENHANCE_YOUR_CALM");
        drop(client);
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::Flood));
    });
}

#[test]
fn a_broken_rule_is_told() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        // DATA on stream 0.
        client.send(&[PREFACE, SETTINGS, b"\0\0\x01\0\0\0\0\0\0x"].concat());
        bench.settle().await;
        let output = client.recv().await;
        let goaway = &output[output.len() - 17..];
        assert_eq!((goaway[3], goaway[16]), (7, 1), "PROTOCOL_ERROR");
        drop(client);
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::ProtocolError));
    });
}

/// A connection that was closed with unread input would be reset, and the client would lose the GOAWAY.
#[test]
fn a_connection_lingers_for_a_client_that_sends_on() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(&[PREFACE, SETTINGS, b"\0\0\x01\0\0\0\0\0\0x"].concat());
        bench.pass(Duration::from_millis(1900)).await;
        client.send(b"more");
        bench.settle().await;
        assert_eq!(bench.app.cause(), None);
        assert_eq!(client.unsent(), 0, "it is read");
        bench.pass(Duration::from_millis(200)).await;
        assert_eq!(bench.app.cause(), Some(CloseCause::ProtocolError));
    });
}

#[test]
fn a_client_that_leaves_is_no_fault() {
    for input in [&b""[..], &PREFACE[..10], PREFACE] {
        let bench = Bench::new();
        let mut client = Client::serve(&bench, 1 << 20);
        bench.run(async {
            client.send(input);
            bench.settle().await;
            drop(client);
            bench.settle().await;
            assert_eq!(bench.app.cause(), Some(CloseCause::PeerClosed), "{input:?}");
        });
    }
}

#[test]
fn what_is_not_http2_is_refused() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        client.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n");
        bench.settle().await;
        drop(client);
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::ProtocolError));
    });
}

#[test]
fn an_error_code_of_the_client_is_a_loss() {
    let bench = Bench::new();
    let mut client = Client::serve(&bench, 1 << 20);
    bench.run(async {
        let goaway = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02";
        client.send(&[PREFACE, SETTINGS, goaway].concat());
        bench.settle().await;
        drop(client);
        bench.settle().await;
        assert_eq!(bench.app.cause(), Some(CloseCause::PeerLost));
    });
}
