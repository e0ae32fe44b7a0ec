//! Limits and clocks over HTTP/1, each at its edge, on a clock that the test moves.

use std::future::Future;
use std::num::NonZeroU64;
use std::time::Duration;

use granian_proto::PeerError;

use crate::close::{CloseCause, Limit};
use crate::exchange::Over;
use crate::exchange::app::{BodyWish, Source};
use crate::limits::{Limits, OverloadLimits, Versions};
use crate::testing::{Wire, limits, standing_line};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
const ROOM: usize = 1 << 20;
const TICK: Duration = Duration::from_millis(1);

fn play<F: Future<Output = ()>>(set: impl FnOnce(&mut Limits), script: impl FnOnce(Wire) -> F) {
    let mut limits = limits();
    set(&mut limits);
    Wire::play(limits, ROOM, script);
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Wire {
    fn reached(&self, limit: Limit) -> u64 {
        self.bench.service.limited.of(limit)
    }

    async fn is_served(&mut self) -> bool {
        self.say(GET).await;
        if !self.app.was_called() {
            return false;
        }
        self.app.request().await.exchange.answer(200, b"hello");
        self.hear().await.ends_with("hello")
    }
}

#[test]
fn the_time_of_a_first_head_counts_from_the_accept_in_every_mode() {
    for http in [Versions::All, Versions::Http1, Versions::Http2] {
        for sent in ["", "P", "GET / HTTP/1.1\r\n"] {
            play(
                |limits| limits.http = http,
                |mut wire| async move {
                    wire.bench.pass(secs(10)).await;
                    wire.say(sent).await;
                    wire.bench.pass(secs(20) - TICK).await;
                    assert!(!wire.end.is_ended(), "{http:?} {sent:?}");
                    wire.bench.pass(TICK).await;
                    wire.hear().await;
                    assert!(wire.end.is_ended(), "{http:?} {sent:?}");
                    assert_eq!(wire.reached(Limit::Http1HeaderReadTimeout), 1);
                },
            );
        }
    }
}

#[test]
fn an_idle_connection_is_kept_for_its_time() {
    let set = |limits: &mut Limits| limits.timeouts.keep_alive = secs(75);
    play(set, |mut wire| async move {
        assert!(wire.is_served().await);
        wire.bench.pass(secs(75) - TICK).await;
        assert!(wire.is_served().await);
        wire.bench.pass(secs(75)).await;
        assert_eq!(wire.cause(), Some(CloseCause::IdleTimeout));
        assert_eq!(wire.reached(Limit::KeepAliveTimeout), 1);
        assert_eq!(wire.reached(Limit::Http1HeaderReadTimeout), 0);
    });
}

#[test]
fn a_body_has_a_time_for_each_piece() {
    play(
        |_| {},
        |mut wire| async move {
            wire.say(CHUNKED).await;
            let exchange = wire.app.request().await.exchange;
            for _ in 0..3 {
                wire.bench.pass(secs(60) - TICK).await;
                wire.say("1\r\nx\r\n").await;
            }
            assert_eq!(exchange.over(), None);
            wire.bench.pass(secs(60)).await;
            assert_eq!(exchange.over(), Some(Over::Refused(408)));
            assert_eq!(wire.reached(Limit::RequestBodyTimeout), 1);
            assert!(wire.hear().await.starts_with("HTTP/1.1 408 "));
        },
    );
}

#[test]
fn a_body_has_to_keep_a_rate() {
    let set = |limits: &mut Limits| limits.timeouts.body_pace.min_rate = NonZeroU64::new(10);
    play(set, |mut wire| async move {
        wire.say(CHUNKED).await;
        let exchange = wire.app.request().await.exchange;
        // Five seconds for nothing, and one for ten bytes.
        for _ in 0..10 {
            wire.bench.pass(secs(1)).await;
            wire.say("a\r\n0123456789\r\n").await;
        }
        wire.bench.pass(secs(5) - TICK).await;
        assert_eq!(exchange.over(), None);
        wire.bench.pass(TICK).await;
        assert_eq!(exchange.over(), Some(Over::Refused(408)));
        assert_eq!(wire.reached(Limit::RequestBodyMinRate), 1);
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::BodyTimeout));
    });
}

#[test]
fn a_peer_that_takes_nothing_is_counted() {
    Wire::play(limits(), 1000, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 50_000], true);
        wire.bench.pass(secs(30)).await;
        wire.bench.pass(secs(30) - TICK).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(TICK).await;
        assert_eq!(wire.cause(), Some(CloseCause::WriteTimeout));
        assert_eq!(wire.reached(Limit::WriteTimeout), 1);
    });
}

fn in_time(limits: &mut Limits) {
    limits.timeouts.request = Some(secs(10));
}

#[test]
fn a_request_that_takes_too_long_is_answered_and_the_connection_goes_on() {
    play(in_time, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.pass(secs(10) - TICK).await;
        assert_eq!(exchange.over(), None);
        wire.bench.pass(TICK).await;
        assert_eq!(exchange.over(), Some(Over::Overdue(Some(504))));
        let heard = wire.hear().await;
        assert!(
            heard.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"),
            "{heard}"
        );
        assert!(!heard.contains("connection: close"));
        exchange.answer(200, b"late");
        assert_eq!(wire.hear().await, "");
        assert!(wire.is_served().await);
        assert_eq!(wire.reached(Limit::RequestTimeout), 1);
    });
}

#[test]
fn a_request_that_is_answered_in_time_is_left_alone() {
    play(in_time, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.pass(secs(10) - TICK).await;
        exchange.answer(200, b"hello");
        assert!(wire.hear().await.ends_with("hello"));
        wire.bench.pass(secs(10)).await;
        assert!(wire.is_served().await, "each has its own time");
        assert_eq!(wire.reached(Limit::RequestTimeout), 0);
    });
}

#[test]
fn a_response_that_takes_too_long_is_cut() {
    play(in_time, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"half"[..], false);
        assert!(wire.hear().await.ends_with("4\r\nhalf\r\n"));
        wire.bench.pass(secs(10)).await;
        assert_eq!(exchange.over(), Some(Over::Overdue(None)));
        assert_eq!(wire.hear().await, "");
        assert!(wire.end.is_ended());
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::RequestTimeout));
    });
}

#[test]
fn a_request_whose_body_takes_too_long_is_not_called() {
    play(in_time, |mut wire| async move {
        wire.app.wish.set(BodyWish::Whole);
        wire.say(CHUNKED).await;
        for _ in 0..10 {
            wire.bench.pass(secs(1)).await;
            wire.say("1\r\nx\r\n").await;
        }
        assert!(!wire.app.was_called());
        assert!(wire.hear().await.starts_with("HTTP/1.1 504 "));
        let answer = (504, "POST".into(), "/".into(), 0);
        assert_eq!(*wire.app.answered.borrow(), [answer]);
    });
}

#[test]
fn heads_and_targets_have_their_sizes() {
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(len - 1));
    let cases = [
        (
            fields(255),
            fields(256),
            fields(257),
            431,
            Limit::MaxHeaders,
        ),
        (
            target(16_383),
            target(16_384),
            target(16_385),
            414,
            Limit::MaxTargetSize,
        ),
    ];
    for (below, at, above, status, limit) in cases {
        play(
            |_| {},
            |mut wire| async move {
                for head in [below, at] {
                    wire.say(head).await;
                    wire.app.request().await.exchange.answer(200, b"");
                    assert!(wire.hear().await.starts_with("HTTP/1.1 200 "));
                }
                assert_eq!(wire.reached(limit), 0);
                wire.say(above).await;
                assert!(!wire.app.was_called());
                let start = format!("HTTP/1.1 {status} ");
                assert!(wire.hear().await.starts_with(&start));
                assert_eq!(wire.reached(limit), 1);
            },
        );
    }
}

fn small(limits: &mut Limits) {
    limits.request.max_body_size = Some(10);
}

#[test]
fn a_body_whose_length_is_known_is_refused_before_the_call() {
    let upload = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    play(small, |mut wire| async move {
        for length in [9, 10] {
            wire.say(upload(length)).await;
            let exchange = wire.app.request().await.exchange;
            assert_eq!(exchange.body().await.unwrap().0.len(), length);
            exchange.answer(200, b"");
            wire.hear().await;
        }
        wire.say(upload(11)).await;
        assert!(!wire.app.was_called());
        assert!(wire.hear().await.starts_with("HTTP/1.1 413 "));
        assert_eq!(wire.reached(Limit::MaxBodySize), 1);
        drop(wire.end);
        wire.bench.settle().await;
        let cause = CloseCause::Refused(PeerError::BodyTooLarge);
        assert_eq!(wire.app.cause(), Some(cause));
    });
}

#[test]
fn a_body_of_unknown_length_is_cut_off() {
    for has_begun in [false, true] {
        play(small, |mut wire| async move {
            wire.say(CHUNKED).await;
            let exchange = wire.app.request().await.exchange;
            wire.say("a\r\n0123456789\r\n").await;
            assert_eq!(exchange.over(), None);
            if has_begun {
                exchange.start(200);
                exchange.piece(&b"half"[..], false);
                wire.hear().await;
            }
            wire.say("1\r\nx\r\n").await;
            assert!(exchange.body().await.is_none(), "a disconnect");
            let heard = wire.hear().await;
            assert_eq!(heard.starts_with("HTTP/1.1 413 "), !has_begun, "{heard}");
            assert!(wire.end.is_ended());
            assert_eq!(wire.reached(Limit::MaxBodySize), 1);
        });
    }
}

#[test]
fn a_connection_carries_so_many_requests() {
    let set = |limits: &mut Limits| limits.connections.max_requests = Some(3);
    play(set, |mut wire| async move {
        for number in 1..=3 {
            assert!(!wire.end.is_ended());
            wire.say(GET).await;
            wire.app.request().await.exchange.answer(200, b"hello");
            let heard = wire.hear().await;
            assert_eq!(heard.contains("connection: close"), number == 3, "{number}");
        }
        assert!(wire.end.is_ended());
        assert_eq!(wire.reached(Limit::MaxRequestsPerConnection), 1);
    });
}

/// One request runs, and another one waits for its permit.
async fn occupy(wire: &mut Wire) -> Wire {
    wire.say(GET).await;
    let mut second = wire.another(ROOM);
    second.say(GET).await;
    second
}

#[test]
fn the_line_for_permits_is_bounded() {
    let set = |limits: &mut Limits| {
        limits.backpressure = 1;
        limits.line.max_queued = Some(1);
    };
    play(set, |mut wire| async move {
        let mut second = occupy(&mut wire).await;
        assert_eq!(second.hear().await, "", "it waits");
        let mut third = wire.another(ROOM);
        third.say(GET).await;
        let heard = third.hear().await;
        assert!(heard.starts_with("HTTP/1.1 503 "), "{heard}");
        assert!(heard.contains("\r\nretry-after: 1\r\n"), "{heard}");
        assert_eq!(wire.reached(Limit::MaxQueuedRequests), 1);
        wire.app.request().await.exchange.answer(200, b"hello");
        wire.bench.settle().await;
        wire.app.request().await.exchange.answer(200, b"second");
        assert!(second.hear().await.ends_with("second"));
        assert!(third.is_served().await, "its connection goes on");
    });
}

#[test]
fn the_line_may_have_no_place_at_all() {
    let set = |limits: &mut Limits| {
        limits.backpressure = 1;
        limits.line.max_queued = Some(0);
    };
    play(set, |mut wire| async move {
        let mut second = occupy(&mut wire).await;
        assert!(second.hear().await.starts_with("HTTP/1.1 503 "));
    });
}

#[test]
fn a_place_in_the_line_has_its_time() {
    let set = |limits: &mut Limits| {
        limits.backpressure = 1;
        limits.line.timeout = Some(secs(5));
    };
    play(set, |mut wire| async move {
        let mut second = occupy(&mut wire).await;
        second.bench.pass(secs(5) - TICK).await;
        assert_eq!(second.hear().await, "");
        second.bench.pass(TICK).await;
        assert!(second.hear().await.starts_with("HTTP/1.1 503 "));
        assert_eq!(wire.reached(Limit::QueueTimeout), 1);
        wire.app.request().await.exchange.answer(200, b"hello");
        wire.bench.settle().await;
        assert!(!wire.app.was_called(), "nobody waits for it any more");
    });
}

#[test]
fn who_comes_to_a_standing_line_waits_for_the_target_only() {
    play(standing_line, |mut wire| async move {
        let mut second = occupy(&mut wire).await;
        wire.bench.pass(50 * TICK).await;
        let mut third = wire.another(ROOM);
        third.say(GET).await;
        wire.bench.pass(TICK).await;
        // The line has not been empty since the second came.
        let mut fourth = wire.another(ROOM);
        fourth.say(GET).await;
        wire.bench.pass(4 * TICK).await;
        assert_eq!(fourth.hear().await, "");
        wire.bench.pass(TICK).await;
        assert!(fourth.hear().await.starts_with("HTTP/1.1 503 "), "5 ms");
        wire.bench.pass(43 * TICK).await;
        assert_eq!(second.hear().await, "");
        wire.bench.pass(TICK).await;
        assert!(second.hear().await.starts_with("HTTP/1.1 503 "), "100 ms");
        assert_eq!(third.hear().await, "", "it has 100 ms");
        assert_eq!(wire.reached(Limit::Overload), 2);
    });
}

/// Requests that are turned away leave the line empty, and the overload goes on.
#[test]
fn a_line_stands_until_nobody_has_been_turned_away_for_a_while() {
    play(standing_line, |mut wire| async move {
        let bench = wire.bench.clone();
        let mut second = occupy(&mut wire).await;
        bench.pass(100 * TICK).await;
        assert!(second.hear().await.starts_with("HTTP/1.1 503 "), "100 ms");
        for (passed, patience) in [(1, 5), (100, 5), (101, 100)] {
            bench.pass(passed * TICK).await;
            bench.app.request().await.exchange.answer(200, b"hello");
            let mut next = wire.another(ROOM);
            next.say(GET).await;
            assert!(bench.app.was_called(), "the permit is free");
            let mut waiting = wire.another(ROOM);
            waiting.say(GET).await;
            bench.pass((patience - 1) * TICK).await;
            assert_eq!(waiting.hear().await, "", "{patience} ms");
            bench.pass(TICK).await;
            assert!(waiting.hear().await.starts_with("HTTP/1.1 503 "));
        }
    });
}

/// The rest of a response that is whole already.
struct Nothing;

impl Source for Nothing {
    fn pull(&mut self) -> bool {
        false
    }
}

#[test]
fn who_waits_in_the_turn_behind_a_long_call_waits_as_in_the_line() {
    let target = |millis: u32| {
        move |limits: &mut Limits| {
            limits.line.overload = Some(OverloadLimits {
                target: 5 * TICK,
                interval: millis * TICK,
            });
        }
    };
    // The second call begins in the next turn, if it begins.
    for (interval, answers) in [(151, 2), (150, 1), (149, 1)] {
        play(target(interval), |mut wire| async move {
            let mut second = wire.another(ROOM);
            wire.bench.settle().await;
            let clock = wire.bench.reactor.clock().clone();
            wire.app.set_source(move |exchange| {
                clock.advance(150 * TICK);
                exchange.answer(200, b"first");
                Box::new(Nothing)
            });
            wire.end.send(GET.as_bytes());
            second.end.send(GET.as_bytes());
            wire.bench.settle().await;
            wire.app.request().await;
            assert!(wire.hear().await.ends_with("first"));
            assert_eq!(wire.app.was_called(), answers == 2, "{interval}");
            if answers == 1 {
                assert!(second.hear().await.starts_with("HTTP/1.1 503 "));
                assert_eq!(wire.reached(Limit::Overload), 1);
            }
        });
    }
}

#[test]
fn an_idle_connection_makes_room_when_it_is_asked() {
    let set = |limits: &mut Limits| limits.connections.max = Some(1);
    play(set, |mut wire| async move {
        let crowd = std::rc::Rc::clone(&wire.bench.service.crowd);
        assert!(wire.is_served().await);
        wire.say("GET / HTT").await;
        assert_eq!(crowd.ask_for_room(), None, "a head is on its way");
        wire.say("P/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(crowd.ask_for_room(), None, "a request runs");
        wire.app.request().await.exchange.answer(200, b"hello");
        wire.hear().await;
        let key = crowd.ask_for_room().unwrap();
        wire.bench.reactor.wake(key);
        wire.bench.settle().await;
        assert_eq!(wire.cause(), Some(CloseCause::CrowdedOut));
        assert_eq!(wire.reached(Limit::MaxConnections), 1);
    });
}
