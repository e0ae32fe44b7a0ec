//! Numbers of exchanges and connections, on the page as a reader finds them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granian_proto::Version;

use super::layout::{self, at, ring, row};
use super::{Meter, Moment, Routes};
use crate::close::Limit;
use crate::exchange::app::BodyWish;
use crate::exchange::reply::Reply;
use crate::testing::{Bench, Wire, limits, origin};

const GET: &str = "GET /path?secret HTTP/1.1\r\nhost: a\r\n\r\n";
const ROOM: usize = 1 << 20;

impl Bench {
    fn number(&self, at: usize) -> u64 {
        self.metrics.page().read(at)
    }

    /// Answers over HTTP/1.1 with statuses of this class.
    fn answers(&self, status: u16) -> u64 {
        self.number(layout::requests(Version::Http11, status))
    }

    /// Observations of a histogram of times.
    fn times(&self, first: usize) -> u64 {
        (first..first + layout::DURATION.bounds.len() + 1)
            .map(|at| self.number(at))
            .sum()
    }
}

fn play<F: Future<Output = ()>>(script: impl FnOnce(Wire) -> F) {
    Wire::play(limits(), ROOM, script);
}

#[test]
fn an_exchange_is_seen_while_it_runs_and_counted_once_it_is_answered() {
    play(|mut wire| async move {
        wire.say("POST /path HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
            .await;
        let exchange = wire.app.request().await.exchange;
        assert_eq!(wire.bench.number(at::IN_FLIGHT), 1);
        assert_ne!(wire.bench.number(at::ROWS + row::STATE) & row::IS_CALLED, 0);
        assert_eq!(wire.bench.number(at::ROWS + row::RECEIVED), 3);
        exchange.answer(200, b"hello");
        wire.hear().await;
        for (at, expected) in [
            (at::IN_FLIGHT, 0),
            (at::HANDLED, 1),
            (at::CUT, 0),
            (at::RECEIVED + layout::RECEIVED.bounds.len() + 1, 3),
            (at::SENT + layout::SENT.bounds.len() + 1, 5),
            (at::ROWS + row::STATE, 1 << row::NUMBER),
            (at::RING_COUNT, 0),
        ] {
            assert_eq!(wire.bench.number(at), expected, "{at}");
        }
        assert_eq!(wire.bench.answers(200), 1);
        for first in [at::QUEUE, at::FIRST_BYTE, at::DURATION] {
            assert_eq!(wire.bench.times(first), 1);
        }
    });
}

#[test]
fn bodies_that_do_not_go_out_have_no_bytes() {
    play(|mut wire| async move {
        wire.say("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wire.app.request().await.exchange.answer(200, b"hello");
        wire.hear().await;
        assert_eq!(wire.bench.answers(200), 1);
        assert_eq!(wire.bench.number(at::SENT), 1, "in the bucket of nothing");
    });
}

#[test]
fn a_refusal_is_an_answer_and_no_handled_request() {
    play(|mut wire| async move {
        wire.say("nonsense\r\n\r\n").await;
        wire.hear().await;
        assert_eq!(wire.bench.answers(400), 1);
        assert_eq!(wire.bench.number(at::HANDLED), 0);
    });
}

#[test]
fn a_refusal_in_the_middle_of_a_request_is_counted_once() {
    play(|mut wire| async move {
        wire.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n")
            .await;
        wire.hear().await;
        assert_eq!(wire.bench.answers(400), 1);
        assert_eq!(wire.bench.number(at::IN_FLIGHT), 0);
        assert_eq!(wire.bench.number(at::ABANDONED), 0);
    });
}

#[test]
fn an_answer_that_is_cut_off_is_kept_with_its_path() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"part"[..], false);
        exchange.send(Reply::Abort);
        wire.hear().await;
        assert_eq!(wire.bench.number(at::CUT), 1);
        assert_eq!(wire.bench.number(at::HANDLED), 0);
        assert_eq!(wire.bench.number(at::RING + ring::NUMBER), 1);
        assert_eq!(wire.bench.number(at::RING + ring::CUT), 1);
        let path = wire.bench.number(at::RING + ring::ROW + row::PATH);
        assert_eq!(&path.to_le_bytes(), b"/path\0\0\0");
        assert_eq!(
            path_length(wire.bench.number(at::RING + ring::ROW + row::FACTS)),
            5
        );
    });
}

fn path_length(facts: u64) -> u64 {
    facts >> 32 & 0xff
}

#[test]
fn failures_are_kept_and_the_oldest_give_way() {
    play(|mut wire| async move {
        for _ in 0..layout::RING + 2 {
            wire.say(GET).await;
            wire.app.request().await.exchange.answer(500, b"");
            wire.hear().await;
        }
        let count = layout::RING as u64 + 2;
        assert_eq!(wire.bench.number(at::RING_COUNT), count);
        assert_eq!(wire.bench.number(at::RING + ring::NUMBER), count - 1);
        let third = at::RING + 2 * ring::WORDS;
        assert_eq!(wire.bench.number(third + ring::NUMBER), 3);
    });
}

#[test]
fn a_client_that_leaves_before_the_call_is_no_request() {
    play(|mut wire| async move {
        wire.app.wish.set(BodyWish::Whole);
        wire.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
            .await;
        wire.bench.cancel();
        wire.bench.settle().await;
        assert_eq!(wire.bench.number(at::ABANDONED), 1);
        assert_eq!(wire.bench.number(at::CUT), 0);
    });
}

#[test]
fn a_request_waits_for_its_body_until_that_has_come() {
    play(|mut wire| async move {
        wire.app.wish.set(BodyWish::Whole);
        wire.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
            .await;
        wire.bench.settle().await;
        assert_eq!(wire.bench.number(at::READING), 1);
        wire.say("defghi").await;
        let exchange = wire.app.request().await.exchange;
        assert_eq!(wire.bench.number(at::READING), 0);
        assert_eq!(wire.bench.number(at::IN_FLIGHT), 1);
        exchange.answer(200, b"");
        wire.hear().await;
        wire.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
            .await;
        wire.bench.settle().await;
        assert_eq!(wire.bench.number(at::READING), 1);
        wire.bench.cancel();
        wire.bench.settle().await;
        assert_eq!(wire.bench.number(at::READING), 0);
    });
}

#[test]
fn connections_are_counted_by_the_cause_of_their_end() {
    play(|mut wire| async move {
        wire.say("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        wire.app.request().await.exchange.answer(200, b"");
        wire.hear().await;
        wire.bench.settle().await;
        drop(wire.end);
        wire.bench.settle().await;
        let cause = crate::close::CloseCause::Answered;
        assert_eq!(wire.bench.number(at::CLOSED + cause.index()), 1);
    });
}

#[test]
fn more_exchanges_than_rows_are_counted_all_the_same() {
    let bench = Bench::new();
    let origin = origin("GET", b"/");
    let begin = || {
        let meter = Meter::begin(Some(&bench.metrics), &origin);
        meter.note_wait();
        meter.note_wait();
        meter
    };
    let meters: Vec<_> = (0..layout::ROWS + 10).map(|_| begin()).collect();
    assert_eq!(bench.number(at::WAITING), meters.len() as u64);
    let now = Instant::now();
    meters.iter().for_each(|meter| meter.note_call(now));
    assert_eq!(bench.number(at::WAITING), 0);
    assert_eq!(bench.number(at::IN_FLIGHT), meters.len() as u64);
    drop(meters);
    assert_eq!(bench.number(at::IN_FLIGHT), 0);
    assert_eq!(bench.number(at::CUT), layout::ROWS as u64 + 10);
    assert_eq!(bench.metrics.free.borrow().len(), layout::ROWS);
}

#[test]
fn nothing_is_measured_where_nobody_wants_it() {
    let mut meter = Meter::begin(None, &origin("GET", b"/"));
    meter.note_call(Instant::now());
    meter.finish(&mut Moment::default());
}

#[test]
fn a_loop_that_comes_late_is_late_by_that_much() {
    let bench = Bench::new();
    super::ticker::start(&bench.reactor, Rc::clone(&bench.metrics)).unwrap();
    bench.run(async {
        bench.settle().await;
        let due = bench.number(at::TICK_DUE);
        assert_ne!(due, 0);
        bench
            .pass(super::ticker::INTERVAL + Duration::from_secs(2))
            .await;
        assert_eq!(bench.number(at::LOOP_LAG) / 1_000_000_000, 2);
        assert!(bench.number(at::TICK_DUE) >= due + 2_500_000_000);
        bench.pass(super::ticker::INTERVAL).await;
        assert_eq!(bench.number(at::LOOP_LAG), 0);
        assert_eq!(bench.times(at::LAG), 2);
    });
}

#[test]
fn places_do_not_overlap() {
    let mut fields = layout::fields();
    fields.sort_by_key(|field| field.at);
    let width = |field: &layout::Field| match field.kind {
        layout::Kind::Histogram(bounds) => bounds.len() + 2,
        _ => field.axes.iter().map(|(_, values)| values.len()).product(),
    };
    for pair in fields.windows(2) {
        assert!(
            pair[0].at + width(&pair[0]) <= pair[1].at,
            "{}",
            pair[1].name
        );
    }
    assert!(
        fields
            .last()
            .is_some_and(|last| last.at + width(last) <= at::ROWS)
    );
}

#[test]
fn every_limit_has_its_name() {
    let names = Limit::ALL.map(Limit::name);
    assert_eq!(names, layout::LIMITS);
}

#[test]
fn limits_are_counted_where_they_are_reached() {
    play(|mut wire| async move {
        wire.say("GET / HTTP/1.1\r\nhost: a\r\n").await;
        wire.bench.pass(Duration::from_secs(100)).await;
        let limit = at::LIMITED + Limit::Http1HeaderReadTimeout as usize;
        assert_eq!(wire.bench.number(limit), 1);
    });
}

#[test]
fn a_hundred_routes_have_names_and_the_rest_share_one() {
    let bench = Bench::new();
    let routes = Routes::new(Arc::clone(bench.metrics.page()));
    assert_eq!(routes.number(""), 0);
    for number in 1..layout::ROUTES as u16 {
        assert_eq!(routes.number(&format!("/{number}")), number);
    }
    assert_eq!(routes.number("/1"), 1);
    assert_eq!(routes.number("/one more"), layout::ROUTES as u16);
    assert_eq!(routes.number("/another"), layout::ROUTES as u16);
    let first = at::ROUTES;
    let last = first + (layout::ROUTES - 1) * layout::route::WORDS;
    let name = |row| (bench.number(row), bench.number(row + 1).to_le_bytes());
    assert_eq!(name(first), (2, *b"/1\0\0\0\0\0\0"));
    assert_eq!(name(last), (5, *b"other\0\0\0"));
}

#[test]
fn long_names_of_routes_are_cut_between_characters() {
    let bench = Bench::new();
    let routes = Routes::new(Arc::clone(bench.metrics.page()));
    routes.number(&"é".repeat(100));
    routes.number(&format!("a{}", "é".repeat(100)));
    assert_eq!(bench.number(at::ROUTES), 128);
    assert_eq!(bench.number(at::ROUTES + layout::route::WORDS), 127);
}
