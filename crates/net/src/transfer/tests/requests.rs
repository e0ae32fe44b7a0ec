//! Requests: their turn, their bodies, and the rest of a body behind the response.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::fake::{Fake, Sent};
use super::{Carrier, request, secs};
use crate::exchange::app::BodyWish;
use crate::exchange::room::HasRoom;
use crate::exchange::{BodyRead, Exchange, Over};

/// What the application reads now: bytes and whether they are the last, or nothing.
fn read(exchange: &Arc<Exchange>) -> Option<(Vec<u8>, bool)> {
    let mut cx = Context::from_waker(Waker::noop());
    match exchange.poll_body(&mut cx, &mut false) {
        Poll::Ready(BodyRead::Data { data, last }) => Some((data.joined().to_vec(), last)),
        Poll::Ready(_) => panic!("the body is gone"),
        Poll::Pending => None,
    }
}

#[test]
fn the_window_opens_as_the_application_reads() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, exchange) = carrier.called("POST", &stream);
    stream.put(Some(b"hello"));
    assert!(case.was_woken());
    assert!(!case.poll());
    assert_eq!(stream.0.borrow().opened, 0);
    assert_eq!(read(&exchange), Some((b"hello".to_vec(), false)));
    assert!(case.was_woken(), "the application has taken something");
    assert!(!case.poll());
    assert_eq!(stream.0.borrow().opened, 5);
    stream.put(None);
    assert!(!case.poll());
    assert_eq!(read(&exchange), Some((Vec::new(), true)));
}

#[test]
fn no_more_is_taken_in_than_the_exchange_holds() {
    static MUCH: [u8; 40_000] = [0; 40_000];
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, exchange) = carrier.called("POST", &stream);
    for _ in 0..4 {
        stream.put(Some(&MUCH));
    }
    assert!(!case.poll());
    assert_eq!(exchange.body_held(), 80_000);
    assert_eq!(read(&exchange).unwrap().0.len(), 80_000);
    assert!(!case.poll());
    assert_eq!(exchange.body_held(), 80_000);
    assert_eq!(stream.0.borrow().opened, 80_000);
}

#[test]
fn a_body_that_is_wanted_whole_opens_the_window_at_once() {
    let carrier = Carrier::new();
    carrier.bench.app.wish.set(BodyWish::Whole);
    let stream = Fake::with_body(100);
    let mut case = carrier.transfer("POST", &stream);
    stream.put(Some(b"hello"));
    assert!(!case.poll());
    assert!(!carrier.bench.app.was_called());
    assert_eq!(stream.0.borrow().opened, 5);
    stream.put(None);
    assert!(case.was_woken());
    assert!(!case.poll());
    let exchange = carrier.request().exchange;
    assert_eq!(read(&exchange), Some((b"hello".to_vec(), true)));
}

#[test]
fn a_body_that_is_waited_for_has_its_time() {
    for wish in [BodyWish::Whole, BodyWish::Nothing] {
        let carrier = Carrier::new();
        carrier.bench.app.wish.set(wish);
        let stream = Fake::with_body(100);
        let mut case = carrier.transfer("POST", &stream);
        assert!(!case.poll());
        let is_called = wish == BodyWish::Nothing;
        let exchange = is_called.then(|| carrier.request().exchange);
        if let Some(exchange) = &exchange {
            // An application that does not read does not wait for the peer.
            carrier.pass(secs(600));
            assert!(!case.poll());
            stream.put(Some(b"x"));
            assert!(!case.poll());
            read(exchange);
            read(exchange);
            assert!(!case.poll());
        }
        carrier.pass(secs(59));
        stream.put(Some(b"x"));
        assert!(!case.poll());
        if let Some(exchange) = &exchange {
            read(exchange);
            assert!(!case.poll());
        }
        carrier.pass(secs(59));
        assert!(!case.poll(), "{wish:?}");
        carrier.pass(secs(1));
        case.poll();
        let refusal = Sent::Head {
            status: 408,
            length: None,
            ends: true,
        };
        assert_eq!(stream.take_sent(), [refusal], "{wish:?}");
        // The rest is thrown away for a moment, so that the client reads that.
        carrier.pass(secs(5));
        assert!(case.poll());
    }
}

#[test]
fn a_broken_body_ends_the_exchange() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, exchange) = carrier.called("POST", &stream);
    stream.break_off();
    assert!(case.poll());
    assert_eq!(exchange.over(), Some(Over::Disconnected));
}

#[test]
fn the_rest_of_an_answered_request_is_thrown_away() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, exchange) = carrier.called("POST", &stream);
    exchange.answer(413, b"");
    assert!(!case.poll());
    assert_eq!(exchange.over(), Some(Over::Answered));
    stream.take_sent();
    stream.put(Some(b"more"));
    assert!(!case.poll());
    assert_eq!(stream.0.borrow().opened, 4);
    carrier.pass(Duration::from_millis(4_999));
    assert!(!case.poll());
    carrier.pass(Duration::from_millis(1));
    assert!(case.was_woken());
    assert!(case.poll());
    assert_eq!(stream.take_sent(), [], "dropping the stream resets it");
}

#[test]
fn an_answered_request_that_ends_is_over() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, exchange) = carrier.called("POST", &stream);
    exchange.answer(200, b"");
    assert!(!case.poll());
    stream.put(None);
    assert!(case.was_woken());
    assert!(case.poll());
}

#[test]
fn an_application_that_is_busy_is_asked_again() {
    let carrier = Carrier::new();
    carrier.bench.app.may_start.set(false);
    let mut case = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!case.poll());
    assert!(case.was_woken());
    assert!(!carrier.bench.app.was_called());
    carrier.bench.app.may_start.set(true);
    assert!(!case.poll());
    carrier.request();
}

/// A carrier whose application is called once at a time.
fn narrow() -> Carrier {
    let mut limits = crate::testing::limits();
    limits.backpressure = 1;
    Carrier::with(limits)
}

#[test]
fn a_request_waits_for_a_place_among_the_active_ones() {
    let carrier = narrow();
    let (mut first, exchange) = carrier.called("GET", &Fake::bodiless(100));
    let mut second = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!second.poll());
    assert!(!carrier.bench.app.was_called());
    exchange.answer(200, b"");
    assert!(first.poll());
    assert!(!second.poll());
    assert!(!carrier.bench.app.was_called(), "the call goes on");
    exchange.end_call(&*carrier.bench.app);
    assert!(second.was_woken());
    assert!(!second.poll());
    carrier.request();
}

/// The place is the call's, not the stream's.
#[test]
fn a_stream_that_is_gone_leaves_its_call_a_place() {
    let carrier = narrow();
    let (first, exchange) = carrier.called("GET", &Fake::bodiless(100));
    drop(first);
    let mut second = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!second.poll());
    assert!(!carrier.bench.app.was_called());
    exchange.end_call(&*carrier.bench.app);
    assert!(!second.poll());
    carrier.request();
}

#[test]
fn a_call_that_waits_for_its_peers_body_leaves_its_place_to_others() {
    let carrier = narrow();
    let stream = Fake::with_body(100);
    let (mut first, exchange) = carrier.called("POST", &stream);
    let mut second = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!second.poll());
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = false;
    assert!(exchange.poll_body(&mut cx, &mut taken).is_pending());
    assert!(second.was_woken());
    assert!(!second.poll());
    carrier.request().exchange.end_call(&*carrier.bench.app);
    // With the body the call goes on, and has a place again.
    stream.put(Some(b"body"));
    stream.put(None);
    assert!(!first.poll());
    let mut third = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!third.poll());
    assert!(!carrier.bench.app.was_called());
    // Behind the body it waits for the end of the exchange, and that is no wait for the peer.
    assert!(exchange.poll_body(&mut cx, &mut taken).is_ready());
    assert!(exchange.poll_body(&mut cx, &mut taken).is_pending());
    assert!(!third.was_woken());
}

#[test]
fn a_call_that_waits_for_its_peer_to_read_leaves_its_place_to_others() {
    let carrier = narrow();
    let stream = Fake::bodiless(100);
    let (mut first, exchange) = carrier.called("GET", &stream);
    let mut second = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!second.poll());
    let mut cx = Context::from_waker(Waker::noop());
    exchange.start(200);
    exchange.piece(vec![0; 100_000], false);
    assert!(exchange.poll_room(&mut cx).is_pending());
    assert!(!second.was_woken(), "the connection has not tried to send");
    assert!(!first.poll());
    assert!(second.was_woken());
    assert!(!second.poll());
    carrier.request().exchange.end_call(&*carrier.bench.app);
    stream.open(200_000);
    assert!(!first.poll());
    assert!(exchange.poll_room(&mut cx).is_ready());
    let mut third = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!third.poll());
    assert!(!carrier.bench.app.was_called());
}

/// Whole responses of ended calls are bounded, whatever their peers do not read.
#[test]
fn a_call_keeps_its_place_while_too_many_bytes_wait() {
    let carrier = narrow();
    let answer = |stream: &Fake| {
        let (mut case, exchange) = carrier.called("GET", stream);
        exchange.start(200);
        exchange.piece(vec![0; 100 << 20], true);
        exchange.end_call(&*carrier.bench.app);
        assert!(!case.poll());
        (case, exchange)
    };
    let (first, _one) = answer(&Fake::bodiless(100));
    let slow = Fake::bodiless(100);
    let (mut second, _two) = answer(&slow);
    let mut third = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!third.poll());
    assert!(!carrier.bench.app.was_called());
    // It has left, but for what is within the bound.
    slow.open(90 << 20);
    assert!(!second.poll());
    assert!(third.was_woken());
    assert!(!third.poll());
    carrier.request().exchange.end_call(&*carrier.bench.app);
    drop((first, second));
    let (_fourth, _) = answer(&Fake::bodiless(100));
    assert!(!carrier.transfer("GET", &Fake::bodiless(100)).poll());
    assert!(carrier.bench.app.was_called());
}

#[test]
fn a_transfer_that_is_dropped_tells_the_application() {
    let carrier = Carrier::new();
    let (case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    drop(case);
    assert_eq!(exchange.over(), Some(Over::Disconnected));
    // Neither does one that was never called leave anything behind.
    drop(carrier.open(request("GET"), None, &Fake::bodiless(100)));
    assert!(!carrier.bench.app.was_called());
    assert_eq!(carrier.shared.next_alarm(), None);
}
