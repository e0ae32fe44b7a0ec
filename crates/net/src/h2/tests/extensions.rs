//! Connections that were HTTP/1.1 before, pushed responses, and WebSocket connections on streams.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use granian_proto::h2::Promise;
use h2::ext::Protocol;
use http::{Method, Request};

use super::{Client, body_of};
use crate::exchange::Over;
use crate::exchange::messages::{EndedBy, Message};
use crate::exchange::reply::Reply;
use crate::h2::{Opened, Upgrade, serve};
use crate::testing::{Bench, limits, pair, peer};

/// The request of an upgrade is answered on stream 1, behind the client's SETTINGS, which the response must obey.
#[test]
fn an_upgrade_is_answered_behind_the_settings() {
    let bench = Bench::new();
    let (mut client, io) = pair(1 << 20);
    let opened = Opened {
        io,
        input: BytesMut::new(),
        upgrade: Some(Box::new(Upgrade {
            response: b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
            request: b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a".to_vec(),
        })),
    };
    let service = Rc::clone(&bench.service);
    bench.spawn(|handle| serve(opened, peer(), service, handle));
    bench.run(async {
        bench.settle().await;
        let output = client.recv().await;
        assert!(output.starts_with(b"HTTP/1.1 101"));
        // A window of one byte.
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01";
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(settings);
        let request = bench.app.request().await;
        assert_eq!(request.head().authority(), Some("a"));
        client.recv().await;
        request.exchange.answer(200, b"hello");
        bench.settle().await;
        let output = client.recv().await;
        assert!(output.ends_with(b"\0\0\x01\0\0\0\0\0\x01h"), "{output:?}");
        client.send(b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\x09");
        bench.settle().await;
        let output = client.recv().await;
        assert_eq!(&output[..], b"\0\0\x04\0\x01\0\0\0\x01ello");
    });
}

#[test]
fn a_push_is_promised_before_its_page() {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(true);
    Client::play_with(limits(), &builder, |mut client| async move {
        let mut response = client.get("/page");
        let mut pushes = response.push_promises();
        let page = client.bench.app.request().await;
        assert!(page.accepts_push);
        let promise = Promise::new("/a.css").unwrap();
        page.exchange.send(Reply::Push(promise));
        page.exchange.answer(200, b"page");

        let pushed = client.bench.app.request().await;
        assert_eq!(pushed.head().target(), b"/a.css");
        assert!(!pushed.accepts_push);
        let promised = poll_fn(|cx| pushes.poll_push_promise(cx)).await;
        let (request, style) = promised.unwrap().unwrap().into_parts();
        assert_eq!(request.uri().path(), "/a.css");
        pushed.exchange.answer(200, b"style");
        let body = body_of(response.await.unwrap()).await.unwrap();
        assert_eq!(body, b"page");
        let body = body_of(style.await.unwrap()).await.unwrap();
        assert_eq!(body, b"style");
    });
}

#[test]
fn a_client_without_push_gets_none() {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false);
    Client::play_with(limits(), &builder, |mut client| async move {
        let response = client.get("/page");
        let page = client.bench.app.request().await;
        assert!(!page.accepts_push);
        page.exchange
            .send(Reply::Push(Promise::new("/a.css").unwrap()));
        page.exchange.answer(200, b"page");
        let body = body_of(response.await.unwrap()).await.unwrap();
        assert_eq!(body, b"page");
        assert!(!client.bench.app.was_called());
    });
}

/// RFC 8441: an extended CONNECT opens a WebSocket connection on a stream.
#[test]
fn a_stream_becomes_a_websocket() {
    let bench = Bench::new();
    bench.app.speaks_websocket.set(true);
    let builder = h2::client::Builder::new();
    Client::play_on(bench, &builder, |mut client| async move {
        client.bench.settle().await;
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("http://a.example/chat")
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let (response, mut up) = client.sender.send_request(request, false).unwrap();
        let request = client.bench.app.request().await;
        assert_eq!(request.head().method(), "GET");
        let opening = request.websocket.unwrap();
        let accept = opening.handshake.accept(None).unwrap();
        request.exchange.send(Reply::Upgrade(accept));
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(request.exchange.over(), Some(Over::Answered));

        let hello = Bytes::from_static(b"\x81\x85\0\0\0\0hello");
        up.send_data(hello, false).unwrap();
        client.bench.settle().await;
        let message = opening.messages.try_receive().unwrap().unwrap();
        assert_eq!(&message.data[..], b"hello");
        opening.messages.send(Message {
            data: Bytes::from_static(b"hi"),
            is_text: true,
        });
        let mut down = response.into_body();
        let frame = poll_fn(|cx| down.poll_data(cx)).await.unwrap().unwrap();
        assert_eq!(&frame[..], b"\x81\x02hi");
        up.send_reset(h2::Reason::CANCEL);
        client.bench.settle().await;
        let ended = opening.messages.ended().map(|ended| ended.by);
        assert_eq!(ended, Some(EndedBy::Loss));
    });
}
