//! Requests and responses on streams: bodies both ways, windows, resets.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use granian_proto::ResponseHead;
use h2::Reason;
use http::{Method, Request};

use super::{Client, body_of};
use crate::close::CloseCause;
use crate::exchange::app::BodyWish;
use crate::exchange::reply::Reply;
use crate::exchange::room::HasRoom;
use crate::exchange::{Exchange, Over};
use crate::runtime::reactor::Reactor;
use crate::testing::limits;

#[test]
fn a_request_is_answered() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/path?query");
        let request = client.bench.app.request().await;
        assert_eq!(request.head().method(), "GET");
        assert_eq!(request.head().target(), b"/path?query");
        assert_eq!(request.head().authority(), Some("a.example"));
        request.exchange.answer(200, b"hello");

        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(response.headers()["server"], "granian");
        assert!(response.headers().contains_key("date"));
        assert_eq!(body_of(response).await.unwrap(), b"hello");
        assert_eq!(client.bench.service.handled.get(), 1);
        assert_eq!(request.exchange.over(), Some(Over::Answered));
    });
}

#[test]
fn streams_are_answered_in_any_order() {
    Client::play(limits(), |mut client| async move {
        let (first, second) = (client.get("/1"), client.get("/2"));
        let one = client.bench.app.request().await;
        let two = client.bench.app.request().await;
        two.exchange.answer(200, b"two");
        assert_eq!(body_of(second.await.unwrap()).await.unwrap(), b"two");
        one.exchange.answer(200, b"one");
        assert_eq!(body_of(first.await.unwrap()).await.unwrap(), b"one");
    });
}

/// The calls wait for something, so that none of the streams is over: the connection's slice ends all the same.
#[test]
fn calls_of_one_connection_are_spread_over_turns() {
    Client::play(limits(), |mut client| async move {
        let bench = client.bench.clone();
        let clock = bench.reactor.clone();
        bench.settle().await;
        // Another task is always ready.
        bench.spawn(|_| {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        bench
            .app
            .set_work(move || clock.clock().advance(Duration::from_micros(100)));
        let _answers: Vec<_> = (0..40).map(|_| client.get("/")).collect();
        let (mut calls, mut most) = (0, 0);
        while calls < 40 {
            bench.turn().await;
            most = most.max(bench.app.calls() - calls);
            calls = bench.app.calls();
        }
        assert!((4..=8).contains(&most), "{most} calls in a turn of 500 µs");
    });
}

/// The work of an application that learns of the end of its request: 100 µs.
struct Work;

thread_local! {
    static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) };
}

impl Wake for Work {
    fn wake(self: Arc<Self>) {
        REACTOR.with_borrow(|reactor| {
            let clock = reactor.as_ref().unwrap().clock();
            clock.advance(Duration::from_micros(100));
        });
    }
}

/// The most requests of 40 on one connection whose end the application learns of in one turn, once `end` has happened.
fn most_ends_in_a_turn(end: impl FnOnce(&Client, &[Arc<Exchange>])) -> usize {
    let most = Cell::new(0);
    let found = &most;
    Client::play(limits(), |mut client| async move {
        let bench = client.bench.clone();
        REACTOR.set(Some(bench.reactor.clone()));
        let _answers: Vec<_> = (0..40).map(|_| client.get("/")).collect();
        let waker = Waker::from(Arc::new(Work));
        let mut exchanges = Vec::new();
        while exchanges.len() < 40 {
            let exchange = bench.app.request().await.exchange;
            let over = exchange.poll_over(&mut Context::from_waker(&waker));
            assert!(over.is_pending());
            exchanges.push(exchange);
        }
        bench.settle().await;
        // Another task is always ready.
        bench.spawn(|_| {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        end(&client, &exchanges);
        let mut over = 0;
        while over < 40 {
            assert_eq!(bench.app.cause(), None, "{over} of 40 know");
            bench.turn().await;
            let now = exchanges.iter().filter(|one| one.over().is_some());
            let now = now.count();
            found.set(found.get().max(now - over));
            over = now;
        }
        REACTOR.take();
    });
    most.get()
}

#[test]
fn what_one_connections_responses_set_going_is_spread_over_turns() {
    let most = most_ends_in_a_turn(|_, exchanges| {
        for exchange in exchanges {
            exchange.answer(200, b"hello");
        }
    });
    assert!((4..=8).contains(&most), "{most} in a turn of 500 µs");
}

#[test]
fn what_the_end_of_a_connection_sets_going_is_spread_over_turns() {
    let most = most_ends_in_a_turn(|client, _| client.cut());
    assert!((4..=8).contains(&most), "{most} in a turn of 500 µs");
}

/// The codec asks for more input behind each request that it gives: nothing comes of that, and it is no read.
#[test]
fn requests_that_have_come_together_are_called_in_one_turn() {
    Client::play(limits(), |mut client| async move {
        let bench = client.bench.clone();
        bench.settle().await;
        bench.reactor.clock().advance(Duration::ZERO);
        let _answers: Vec<_> = (0..100).map(|_| client.get("/")).collect();
        while bench.app.calls() == 0 {
            bench.turn().await;
        }
        assert_eq!(bench.app.calls(), 100);
    });
}

#[test]
fn hints_and_trailers_surround_the_body() {
    Client::play(limits(), |mut client| async move {
        let mut response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        let mut hints = ResponseHead::informational(103).unwrap();
        hints.append(b"link", b"</a.css>").unwrap();
        exchange.send(Reply::Informational(hints));
        let hints = poll_fn(|cx| response.poll_informational(cx)).await;
        assert_eq!(hints.unwrap().unwrap().headers()["link"], "</a.css>");

        exchange.start(200);
        exchange.piece(&b"body"[..], false);
        let mut trailers = granian_proto::Trailers::new();
        trailers.append(b"x-sum", b"1").unwrap();
        exchange.send(Reply::End(Some(trailers)));
        let mut body = response.await.unwrap().into_body();
        let data = poll_fn(|cx| body.poll_data(cx)).await.unwrap().unwrap();
        assert_eq!(&data[..], b"body");
        assert!(poll_fn(|cx| body.poll_data(cx)).await.is_none());
        let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.unwrap();
        assert_eq!(trailers.unwrap()["x-sum"], "1");
    });
}

#[test]
fn a_lone_head_waits_a_moment_for_its_body() {
    Client::play(limits(), |mut client| async move {
        let mut response = Box::pin(client.get("/"));
        let exchange = client.bench.app.request().await.exchange;
        exchange.start(200);
        client.bench.pass(Duration::from_millis(19)).await;
        let head = poll_fn(|cx| std::task::Poll::Ready(response.as_mut().poll(cx))).await;
        assert!(head.is_pending(), "it may still be taken back");
        client.bench.pass(Duration::from_millis(2)).await;
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

/// A body that is longer than any window goes out as the client reads, and no faster.
#[test]
fn a_response_waits_for_the_clients_window() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 200_000], false);
        client.bench.settle().await;
        // 65,535 bytes are the window that RFC 9113 gives a client that says nothing.
        assert!(!exchange.has_room(), "134,465 bytes wait");
        let mut body = response.await.unwrap().into_body();
        let mut received = 0;
        while received < 200_000 {
            let data = poll_fn(|cx| body.poll_data(cx)).await.unwrap().unwrap();
            received += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        client.bench.settle().await;
        assert!(exchange.has_room());
        exchange.send(Reply::End(None));
        while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
            assert!(data.unwrap().is_empty());
        }
    });
}

#[test]
fn a_client_that_opens_no_window_is_given_up() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 100_000], false);
        let response = response.await.unwrap();
        client.bench.pass(Duration::from_secs(59)).await;
        assert_eq!(exchange.over(), None);
        client.bench.pass(Duration::from_secs(2)).await;
        assert_eq!(exchange.over(), Some(Over::Disconnected));
        let error = body_of(response).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::CANCEL));
        // The connection is none the worse for it.
        let response = client.get("/");
        client.bench.app.request().await.exchange.answer(204, b"");
        assert_eq!(response.await.unwrap().status(), 204);
    });
}

/// The client's window opens as the application reads: the server holds no more than its bound.
#[test]
fn a_request_waits_for_the_application() {
    let mut limits = limits();
    limits.http2.initial_stream_window_size = 65_535;
    Client::play(limits, |mut client| async move {
        let (response, mut body) = client.request("POST", "/", false);
        body.reserve_capacity(300_000);
        let exchange = client.bench.app.request().await.exchange;
        let mut left = 300_000;
        let mut received = 0;
        while received < 300_000 {
            client.bench.settle().await;
            let capacity = body.capacity().min(left);
            if capacity > 0 {
                left -= capacity;
                let piece = Bytes::from(vec![b'x'; capacity]);
                body.send_data(piece, left == 0).unwrap();
                body.reserve_capacity(left);
            }
            client.bench.settle().await;
            let sent = 300_000 - left;
            assert!(
                sent - received <= 2 * 65_536,
                "{sent} sent, {received} read"
            );
            let (data, _) = exchange.body().await.unwrap();
            received += data.len();
        }
        exchange.answer(200, b"");
        assert_eq!(response.await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_is_awaited_whole_where_the_application_wants_that() {
    Client::play(limits(), |mut client| async move {
        client.bench.app.wish.set(BodyWish::Whole);
        let (response, mut body) = client.request("POST", "/", false);
        body.send_data(Bytes::from_static(b"half and "), false)
            .unwrap();
        client.bench.settle().await;
        assert!(!client.bench.app.was_called());
        body.send_data(Bytes::from_static(b"half"), true).unwrap();
        let exchange = client.bench.app.request().await.exchange;
        let (data, last) = exchange.body().await.unwrap();
        assert_eq!((&data[..], last), (&b"half and half"[..], true));
        exchange.answer(200, b"");
        response.await.unwrap();
    });
}

#[test]
fn a_body_that_stops_is_waited_for_so_long() {
    Client::play(limits(), |mut client| async move {
        let (response, _body) = client.request("POST", "/", false);
        let exchange = client.bench.app.request().await.exchange;
        let mut taken = false;
        let mut read = || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            exchange.poll_body(&mut cx, &mut taken).is_pending()
        };
        assert!(read());
        client.bench.pass(Duration::from_secs(59)).await;
        assert!(read());
        client.bench.pass(Duration::from_secs(2)).await;
        assert!(!read());
        assert_eq!(response.await.unwrap().status(), 408);
        assert_eq!(exchange.over(), Some(Over::Refused(408)));
    });
}

#[test]
fn a_reset_of_the_client_ends_the_exchange() {
    Client::play(limits(), |mut client| async move {
        let (_response, mut body) = client.request("POST", "/", false);
        let exchange = client.bench.app.request().await.exchange;
        body.send_reset(Reason::CANCEL);
        client.bench.settle().await;
        assert_eq!(exchange.over(), Some(Over::Disconnected));
        assert_eq!(client.bench.app.cause(), None, "the connection goes on");
    });
}

#[test]
fn a_response_that_cannot_be_completed_is_reset() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"beginning"[..], false);
        let response = response.await.unwrap();
        exchange.send(Reply::Abort);
        let error = body_of(response).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    });
}

/// Some clients take a reset behind the response for a failure of it: the rest of the body is thrown away for a while.
#[test]
fn the_rest_of_an_answered_request_is_discarded_for_a_while() {
    Client::play(limits(), |mut client| async move {
        let (response, mut body) = client.request("POST", "/", false);
        let exchange = client.bench.app.request().await.exchange;
        exchange.answer(413, b"too much");
        assert_eq!(body_of(response.await.unwrap()).await.unwrap(), b"too much");
        client.bench.pass(Duration::from_millis(4_900)).await;
        body.send_data(Bytes::from_static(b"more"), false).unwrap();
        client.bench.settle().await;
        assert!(!is_reset(&mut body).await);
        client.bench.pass(Duration::from_millis(200)).await;
        assert!(is_reset(&mut body).await);
    });
}

async fn is_reset(body: &mut h2::SendStream<Bytes>) -> bool {
    poll_fn(|cx| std::task::Poll::Ready(body.poll_reset(cx).is_ready())).await
}

#[test]
fn requests_that_are_no_requests_do_not_reach_the_application() {
    Client::play(limits(), |mut client| async move {
        // No proxy is here, nor any protocol on a stream but WebSocket, which this application does not speak.
        let connect = Request::builder()
            .method(Method::CONNECT)
            .uri("a.example:443")
            .body(())
            .unwrap();
        let (response, _body) = client.sender.send_request(connect, false).unwrap();
        assert_eq!(response.await.unwrap().status(), 501);
        let hosts = Request::builder()
            .uri("http://a.example/")
            .header("host", "b.example")
            .body(())
            .unwrap();
        let (response, _body) = client.sender.send_request(hosts, true).unwrap();
        let error = response.await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
        assert!(!client.bench.app.was_called());
    });
}

#[test]
fn a_client_that_goes_takes_its_exchanges_with_it() {
    Client::play(limits(), |mut client| async move {
        let response = client.get("/");
        let exchange = client.bench.app.request().await.exchange;
        client.cut();
        drop(response);
        client.bench.settle().await;
        assert_eq!(exchange.over(), Some(Over::Disconnected));
        assert_eq!(client.bench.app.cause(), Some(CloseCause::PeerLost));
    });
}
