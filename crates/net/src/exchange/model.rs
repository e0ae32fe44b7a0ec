//! Models of an exchange between the connection's thread and an application's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use loom::thread;

use super::{BodyRead, Exchange, Over, Reply, Windows};
use crate::runtime::model::{Home, check};
use crate::testing::{exchange, origin};

#[test]
fn every_reply_reaches_the_connection() {
    check(|| {
        let mut connection = Home::new();
        let exchange = Arc::new(exchange(false, 1000));
        let theirs = Arc::clone(&exchange);
        let application = thread::spawn(move || {
            theirs.start(200);
            theirs.piece("hello", true);
        });
        let mut replies = VecDeque::new();
        connection.run(|cx| {
            exchange.poll_replies(cx, &mut replies, true);
            match replies.back() {
                Some(Reply::Data { last: true, .. }) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        application.join().unwrap();
        assert_eq!(replies.len(), 2);
    });
}

#[test]
fn every_piece_of_a_body_reaches_the_application() {
    check(|| {
        let mut application = Home::new();
        let exchange = Arc::new(exchange(true, 1000));
        let theirs = Arc::clone(&exchange);
        let connection = thread::spawn(move || {
            theirs.push_body(Bytes::from_static(b"hello"));
            theirs.end_body();
        });
        let (mut taken, mut got) = (false, Vec::new());
        application.run(|cx| {
            loop {
                match exchange.poll_body(cx, &mut taken) {
                    Poll::Ready(BodyRead::Data { data, last }) => {
                        got.extend_from_slice(&data.joined());
                        if last {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(_) => panic!("the body is whole"),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        connection.join().unwrap();
        assert_eq!(got, b"hello");
    });
}

/// An application that is told late waits for no piece that has come.
#[test]
fn a_piece_reaches_an_application_on_another_thread() {
    check(|| {
        let mut application = Home::new();
        let exchange = Arc::new(apart());
        let theirs = Arc::clone(&exchange);
        let connection = thread::spawn(move || {
            if theirs.push_body(Bytes::from_static(b"hello")) {
                theirs.tell_body();
            }
        });
        application.run(|cx| exchange.poll_body(cx, &mut false).map(drop));
        connection.join().unwrap();
    });
}

#[test]
fn the_room_of_a_read_reaches_the_connection() {
    check(|| {
        let mut connection = Home::new();
        let exchange = Arc::new(apart());
        exchange.push_body(Bytes::from(vec![b'x'; 1000]));
        let theirs = Arc::clone(&exchange);
        let application = thread::spawn(move || {
            assert!(theirs.try_body(&mut false).is_some());
        });
        connection.run(|cx| {
            exchange.watch(cx);
            match exchange.has_body_room() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        application.join().unwrap();
    });
}

fn apart() -> Exchange {
    let windows = Windows {
        first: 1000,
        most: 4000,
    };
    Exchange::new(origin("POST", b"/"), true, windows)
}

#[test]
fn an_application_that_waits_learns_of_the_end() {
    check(|| {
        let mut application = Home::new();
        let exchange = Arc::new(exchange(true, 1000));
        let theirs = Arc::clone(&exchange);
        let connection = thread::spawn(move || {
            theirs.push_body(Bytes::from_static(b"hel"));
            theirs.finish(Over::Disconnected);
        });
        application.run(|cx| {
            exchange
                .poll_over(cx)
                .map(|over| assert_eq!(over, Over::Disconnected))
        });
        let mut taken = false;
        while let Some(BodyRead::Data { .. }) = exchange.try_body(&mut taken) {}
        connection.join().unwrap();
    });
}
