//! Limits and clocks over HTTP/2, each at its edge, on a clock that the test moves.

use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Request;

use super::Client;
use super::connection::{PREFACE, SETTINGS};
use crate::close::{CloseCause, Limit};
use crate::exchange::Over;
use crate::exchange::app::BodyWish;
use crate::limits::Limits;
use crate::testing::{Bench, limits, standing_line};

const TICK: Duration = Duration::from_millis(1);

fn play<F: Future<Output = ()>>(set: impl FnOnce(&mut Limits), script: impl FnOnce(Client) -> F) {
    let mut limits = limits();
    set(&mut limits);
    Client::play(limits, script);
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Client {
    fn reached(&self, limit: Limit) -> u64 {
        self.bench.service.limited.of(limit)
    }

    /// The status of a GET that the application answers with 200 if it is called.
    async fn status(&mut self, request: Request<()>) -> u16 {
        let (response, _) = self.sender.send_request(request, true).unwrap();
        self.bench.settle().await;
        if self.bench.app.was_called() {
            let exchange = self.bench.app.request().await.exchange;
            exchange.answer(200, b"");
        }
        response.await.unwrap().status().as_u16()
    }
}

fn get(path: &str, fields: usize) -> Request<()> {
    let mut request = Request::builder().uri(format!("http://a.example{path}"));
    for number in 0..fields {
        request = request.header("x", number);
    }
    request.body(()).unwrap()
}

#[test]
fn heads_and_targets_have_their_sizes() {
    play(
        |_| {},
        |mut client| async move {
            for (count, status) in [(255, 200), (256, 200), (257, 431), (1, 200)] {
                assert_eq!(client.status(get("/", count)).await, status, "{count}");
            }
            assert_eq!(client.reached(Limit::MaxHeaders), 1);
            for (len, status) in [(16_383, 200), (16_384, 200), (16_385, 414), (1, 200)] {
                let path = format!("/{}", "x".repeat(len - 1));
                assert_eq!(client.status(get(&path, 0)).await, status, "{len}");
            }
            assert_eq!(client.reached(Limit::MaxTargetSize), 1);
        },
    );
}

/// Each field counts 32 bytes more (RFC 9113, 6.5.2). A section of twice the limit is the codec's to refuse, one of
/// more than eight times ends the connection.
#[test]
fn a_header_section_has_its_size() {
    const PSEUDO: usize = (7 + 3) + (7 + 4) + (10 + 9) + (5 + 1) + 4 * 32;
    play(
        |limits| limits.http2.max_headers_size = 500,
        |mut client| async move {
            let sized = |size: usize| {
                let value = "v".repeat(size - PSEUDO - 1 - 32);
                let mut request = get("/", 0);
                request.headers_mut().insert("x", value.parse().unwrap());
                request
            };
            for (size, status) in [
                (499, 200),
                (500, 200),
                (501, 431),
                (999, 431),
                (4000, 431),
                (500, 200),
            ] {
                assert_eq!(client.status(sized(size)).await, status, "{size}");
            }
            assert_eq!(client.reached(Limit::Http2MaxHeadersSize), 2);
            let (response, _) = client.sender.send_request(sized(4001), true).unwrap();
            client.bench.settle().await;
            assert!(response.await.is_err());
            assert_eq!(client.end(), Some(Some(Reason::ENHANCE_YOUR_CALM)));
        },
    );
}

/// A request that refuses to wait for its turn: the client of the `h2` crate obeys the limit, this one does not.
#[test]
fn a_connection_has_so_many_streams() {
    const RST_STREAM: u8 = 3;
    let mut limits = limits();
    limits.http2.max_concurrent_streams = 3;
    let bench = Bench::with(limits);
    let mut client = Client::serve(&bench, 1 << 20);
    let request = |stream: u8| {
        [
            b"\0\0\x06\x01\x05\0\0\0",
            &[stream][..],
            b"\x82\x86\x84\x41\x01h",
        ]
        .concat()
    };
    bench.run(async {
        client.send(&[PREFACE, SETTINGS].concat());
        bench.settle().await;
        client.recv().await;
        let mut calls = Vec::new();
        for (stream, is_taken) in [(1, true), (3, true), (5, true), (7, false), (9, false)] {
            client.send(&request(stream));
            bench.settle().await;
            assert_eq!(bench.app.was_called(), is_taken, "{stream}");
            if is_taken {
                calls.push(bench.app.request().await.exchange);
            } else {
                let refused = client.recv().await;
                let reset = &refused[refused.len() - 13..];
                let code = Reason::REFUSED_STREAM;
                let expected = [
                    &[0, 0, 4, RST_STREAM, 0, 0, 0, 0, stream, 0, 0, 0][..],
                    &[7],
                ]
                .concat();
                assert_eq!(reset, expected, "{code:?}");
            }
        }
        calls[0].answer(200, b"");
        bench.settle().await;
        client.send(&request(11));
        bench.settle().await;
        assert!(bench.app.was_called(), "there is room for one again");
    });
}

#[test]
fn a_response_has_a_time_for_each_step_of_its_client() {
    play(
        |limits| limits.timeouts.write = secs(10),
        |mut client| async move {
            let response = client.get("/");
            let exchange = client.bench.app.request().await.exchange;
            exchange.start(200);
            exchange.piece(vec![b'x'; 200_000], false);
            let mut body = response.await.unwrap().into_body();
            client.bench.pass(secs(10) - TICK).await;
            let mut taken = 0;
            while taken < 40_000 {
                taken += poll_fn(|cx| body.poll_data(cx))
                    .await
                    .unwrap()
                    .unwrap()
                    .len();
            }
            body.flow_control().release_capacity(taken).unwrap();
            client.bench.pass(secs(10) - TICK).await;
            assert_eq!(exchange.over(), None, "it has taken something");
            client.bench.pass(TICK).await;
            assert_eq!(exchange.over(), Some(Over::Disconnected));
            assert_eq!(client.reached(Limit::WriteTimeout), 1);
            assert_eq!(client.status(get("/", 0)).await, 200, "the others go on");
        },
    );
}

fn small(limits: &mut Limits) {
    limits.request.max_body_size = Some(10);
}

#[test]
fn a_body_whose_length_is_known_is_refused_before_the_call() {
    play(small, |mut client| async move {
        for (length, status) in [(9, 200), (10, 200), (11, 413)] {
            let request = Request::post("http://a.example/").header("content-length", length);
            let request = request.body(()).unwrap();
            let (response, mut body) = client.sender.send_request(request, false).unwrap();
            client.bench.settle().await;
            assert_eq!(client.bench.app.was_called(), status == 200);
            body.send_data(Bytes::from(vec![b'x'; length]), true)
                .unwrap();
            if status == 200 {
                let exchange = client.bench.app.request().await.exchange;
                exchange.answer(200, b"");
            }
            assert_eq!(response.await.unwrap().status(), status);
        }
        assert_eq!(client.reached(Limit::MaxBodySize), 1);
    });
}

#[test]
fn a_body_of_unknown_length_is_cut_off() {
    for has_begun in [false, true] {
        play(small, |mut client| async move {
            let (response, mut body) = client.request("POST", "/", false);
            let exchange = client.bench.app.request().await.exchange;
            body.send_data(Bytes::from_static(b"0123456789"), false)
                .unwrap();
            client.bench.settle().await;
            assert_eq!(exchange.over(), None);
            if has_begun {
                exchange.start(200);
                exchange.piece(&b"half"[..], false);
                client.bench.settle().await;
            }
            body.send_data(Bytes::from_static(b"x"), false).unwrap();
            client.bench.settle().await;
            assert!(exchange.body().await.is_none(), "a disconnect");
            let response = response.await.unwrap();
            if has_begun {
                assert_eq!(exchange.over(), Some(Over::Disconnected));
                let error = super::body_of(response).await.unwrap_err();
                assert_eq!(error.reason(), Some(Reason::CANCEL));
            } else {
                assert_eq!(exchange.over(), Some(Over::Refused(413)));
                assert_eq!(response.status(), 413);
            }
            assert_eq!(client.reached(Limit::MaxBodySize), 1);
        });
    }
}

#[test]
fn a_body_has_to_keep_a_rate() {
    let set = |limits: &mut Limits| limits.timeouts.body_pace.min_rate = NonZeroU64::new(10);
    play(set, |mut client| async move {
        client.bench.app.wish.set(BodyWish::Whole);
        let (response, mut body) = client.request("POST", "/", false);
        for _ in 0..10 {
            client.bench.pass(secs(1)).await;
            body.send_data(Bytes::from_static(b"0123456789"), false)
                .unwrap();
        }
        client.bench.pass(secs(5) - TICK).await;
        assert_eq!(client.reached(Limit::RequestBodyMinRate), 0);
        client.bench.pass(TICK).await;
        assert_eq!(client.reached(Limit::RequestBodyMinRate), 1);
        assert_eq!(response.await.unwrap().status(), 408);
        assert!(!client.bench.app.was_called());
    });
}

#[test]
fn a_body_has_a_time_for_each_piece() {
    let set = |_: &mut Limits| {};
    play(set, |mut client| async move {
        client.bench.app.wish.set(BodyWish::Whole);
        let (response, mut body) = client.request("POST", "/", false);
        for _ in 0..3 {
            client.bench.pass(secs(60) - TICK).await;
            body.send_data(Bytes::from_static(b"x"), false).unwrap();
        }
        client.bench.pass(secs(60) - TICK).await;
        assert_eq!(client.reached(Limit::RequestBodyTimeout), 0);
        client.bench.pass(TICK).await;
        assert_eq!(client.reached(Limit::RequestBodyTimeout), 1);
        assert_eq!(response.await.unwrap().status(), 408);
    });
}

fn in_time(limits: &mut Limits) {
    limits.timeouts.request = Some(secs(10));
}

#[test]
fn a_request_that_takes_too_long_is_answered_and_the_others_go_on() {
    play(in_time, |mut client| async move {
        let late = client.get("/late");
        let exchange = client.bench.app.request().await.exchange;
        client.bench.pass(secs(5)).await;
        let other = client.get("/other");
        let beside = client.bench.app.request().await.exchange;
        client.bench.pass(secs(5) - TICK).await;
        assert_eq!(exchange.over(), None);
        client.bench.pass(TICK).await;
        assert_eq!(exchange.over(), Some(Over::Overdue(Some(504))));
        assert_eq!(late.await.unwrap().status(), 504);
        beside.answer(200, b"");
        assert_eq!(other.await.unwrap().status(), 200);
        assert_eq!(client.reached(Limit::RequestTimeout), 1);
    });
}

#[test]
fn a_response_that_takes_too_long_is_reset() {
    play(in_time, |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"half"[..], false);
        let response = response.await.unwrap();
        client.bench.pass(secs(10)).await;
        assert_eq!(exchange.over(), Some(Over::Overdue(None)));
        let error = super::body_of(response).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::CANCEL));
        assert_eq!(client.bench.app.cause(), None, "the connection goes on");
    });
}

#[test]
fn the_line_for_permits_is_bounded() {
    let set = |limits: &mut Limits| {
        limits.backpressure = 1;
        limits.line.max_queued = Some(1);
        limits.line.timeout = Some(secs(5));
    };
    play(set, |mut client| async move {
        let _first = client.get("/1");
        client.bench.settle().await;
        let second = client.get("/2");
        client.bench.settle().await;
        let third = client.get("/3").await.unwrap();
        assert_eq!(third.status(), 503);
        assert_eq!(third.headers()["retry-after"], "1");
        assert_eq!(client.reached(Limit::MaxQueuedRequests), 1);
        client.bench.pass(secs(5) - TICK).await;
        assert_eq!(client.reached(Limit::QueueTimeout), 0);
        client.bench.pass(TICK).await;
        assert_eq!(second.await.unwrap().status(), 503);
        assert_eq!(client.reached(Limit::QueueTimeout), 1);
    });
}

#[test]
fn who_comes_to_a_standing_line_waits_for_the_target_only() {
    play(standing_line, |mut client| async move {
        let _first = client.get("/1");
        client.bench.settle().await;
        let second = client.get("/2");
        client.bench.settle().await;
        client.bench.pass(50 * TICK).await;
        let _third = client.get("/3");
        client.bench.settle().await;
        client.bench.pass(TICK).await;
        // The line has not been empty since the second came.
        let fourth = client.get("/4");
        client.bench.settle().await;
        client.bench.pass(4 * TICK).await;
        assert_eq!(client.reached(Limit::Overload), 0);
        client.bench.pass(TICK).await;
        assert_eq!(fourth.await.unwrap().status(), 503);
        client.bench.pass(43 * TICK).await;
        assert_eq!(client.reached(Limit::Overload), 1);
        client.bench.pass(TICK).await;
        assert_eq!(second.await.unwrap().status(), 503);
        assert_eq!(
            client.reached(Limit::Overload),
            2,
            "the third one has 100 ms"
        );
    });
}

#[test]
fn a_connection_carries_so_many_requests() {
    let set = |limits: &mut Limits| limits.connections.max_requests = Some(2);
    play(set, |mut client| async move {
        assert_eq!(client.status(get("/", 0)).await, 200);
        assert_eq!(client.end(), None);
        assert_eq!(client.status(get("/", 0)).await, 200);
        client.bench.settle().await;
        assert_eq!(client.end(), Some(None), "GOAWAY with NO_ERROR");
        assert_eq!(client.reached(Limit::MaxRequestsPerConnection), 1);
        client.bench.pass(secs(3)).await;
        assert_eq!(client.bench.app.cause(), Some(CloseCause::Answered));
    });
}

#[test]
fn an_idle_connection_is_kept_for_its_time() {
    play(
        |_| {},
        |mut client| async move {
            assert_eq!(client.status(get("/", 0)).await, 200);
            client.bench.pass(secs(180) - TICK).await;
            assert_eq!(client.status(get("/", 0)).await, 200);
            client.bench.pass(secs(180)).await;
            assert_eq!(client.end(), Some(None));
            assert_eq!(client.reached(Limit::Http2IdleTimeout), 1);
        },
    );
}

#[test]
fn an_idle_connection_makes_room_when_it_is_asked() {
    let set = |limits: &mut Limits| limits.connections.max = Some(1);
    play(set, |mut client| async move {
        let crowd = std::rc::Rc::clone(&client.bench.service.crowd);
        let response = client.get("/");
        client.bench.settle().await;
        assert_eq!(crowd.ask_for_room(), None, "a request runs");
        client.bench.app.request().await.exchange.answer(200, b"");
        response.await.unwrap();
        client.bench.settle().await;
        let key = crowd.ask_for_room().unwrap();
        client.bench.reactor.wake(key);
        client.bench.settle().await;
        assert_eq!(client.end(), Some(None), "GOAWAY with NO_ERROR");
        client.bench.pass(secs(3)).await;
        assert_eq!(client.bench.app.cause(), Some(CloseCause::CrowdedOut));
        assert_eq!(client.reached(Limit::MaxConnections), 1);
    });
}
