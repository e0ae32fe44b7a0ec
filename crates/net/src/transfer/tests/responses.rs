//! Responses: lengths, windows, deadlines, sources, and what holds them back.

use std::cell::OnceCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, Trailers};

use super::fake::{Fake, Sent};
use super::{Carrier, secs};
use crate::close::Limit;
use crate::exchange::app::Source;
use crate::exchange::reply::Reply;
use crate::exchange::room::HasRoom;
use crate::exchange::waiters::Waiters;
use crate::exchange::{Exchange, Over};
use crate::stream::region::FileRegion;
use crate::transfer::ResetReason;

fn head(status: u16, length: Option<u64>, ends: bool) -> Sent {
    Sent::Head {
        status,
        length,
        ends,
    }
}

fn data(data: &'static [u8]) -> Sent {
    Sent::Data(Bytes::from_static(data))
}

fn end(data: &'static [u8]) -> Sent {
    Sent::End(Bytes::from_static(data))
}

/// A head that declares a length.
fn declared(status: u16, length: &[u8]) -> Reply {
    let mut head = ResponseHead::new(status).unwrap();
    head.append(b"content-length", length).unwrap();
    Reply::Head(head)
}

#[test]
fn a_whole_response_has_its_length() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.answer(200, b"hello");
    assert!(case.was_woken());
    assert!(case.poll());
    let sent = case.stream.take_sent();
    assert_eq!(sent, [head(200, Some(5), false), end(b"hello")]);
    assert_eq!(exchange.over(), Some(Over::Answered));
    assert_eq!(carrier.bench.service.handled.get(), 1);
}

#[test]
fn a_response_without_a_body_ends_with_its_head() {
    for (method, status, length) in [
        ("HEAD", 200, Some(5)),
        ("GET", 204, None),
        ("GET", 205, Some(0)),
        ("GET", 304, None),
    ] {
        let carrier = Carrier::new();
        let (mut case, exchange) = carrier.called(method, &Fake::bodiless(100));
        exchange.answer(status, b"hello");
        assert!(case.poll(), "{method} {status}");
        assert_eq!(case.stream.take_sent(), [head(status, length, true)]);
    }
}

#[test]
fn an_empty_response_ends_with_its_head() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.answer(200, b"");
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), [head(200, Some(0), true)]);
}

#[test]
fn pieces_leave_as_they_come() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.start(200);
    exchange.piece(&b"one"[..], false);
    assert_eq!(case.sends(), [head(200, None, false), data(b"one")]);
    exchange.piece(&b"two"[..], false);
    assert_eq!(case.sends(), [data(b"two")]);
    let mut trailers = Trailers::new();
    trailers.append(b"x-sum", b"1").unwrap();
    exchange.send(Reply::End(Some(trailers)));
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), [Sent::Trailers(1)]);
}

#[test]
fn a_body_goes_as_far_as_the_peer_takes_it() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(3));
    exchange.answer(200, b"hello");
    assert_eq!(case.sends(), [head(200, Some(5), false), data(b"hel")]);
    case.stream.open(1);
    assert!(case.was_woken());
    assert_eq!(case.sends(), [data(b"l")]);
    case.stream.open(9);
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), [end(b"o")]);
}

#[test]
fn what_waits_for_the_peer_fills_the_exchange() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(0));
    exchange.start(200);
    exchange.piece(vec![0; 65_536], false);
    case.poll();
    assert!(!exchange.has_room());
    // More than the reply itself weighs beside its bytes.
    case.stream.open(512);
    case.poll();
    assert!(exchange.has_room());
}

#[test]
fn heads_and_pushes_fill_the_exchange_until_they_are_taken() {
    for accepts_push in [true, false] {
        let carrier = Carrier::new();
        let stream = Fake::bodiless(100);
        stream.0.borrow_mut().accepts_push = accepts_push;
        let (mut case, exchange) = carrier.called("GET", &stream);
        let mut hint = ResponseHead::informational(103).unwrap();
        hint.append(b"link", &[b'x'; 1000]).unwrap();
        for reply in [
            Reply::Informational(hint),
            Reply::Push(Promise::new("/a.css").unwrap()),
        ] {
            let make = || match &reply {
                Reply::Informational(head) => Reply::Informational(head.clone()),
                Reply::Push(promise) => Reply::Push(promise.clone()),
                _ => Reply::Abort,
            };
            let mut count = 0;
            while exchange.has_room() {
                exchange.send(make());
                count += 1;
                assert!(count < 1000, "no bound");
            }
            carrier.shared.set_clogged(true);
            case.poll();
            assert!(!exchange.has_room(), "the connection takes nothing");
            carrier.shared.set_clogged(false);
            while !exchange.has_room() {
                case.poll();
                assert!(exchange.has_room() || case.was_woken(), "stuck");
            }
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_has_its_time() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(1));
    exchange.answer(200, b"hello");
    assert_eq!(case.sends().len(), 2);
    carrier.pass(secs(59));
    assert!(!case.poll());
    // Every byte begins the time anew.
    case.stream.open(1);
    assert_eq!(case.sends(), [data(b"e")]);
    carrier.pass(secs(59));
    assert!(!case.poll());
    case.was_woken();
    carrier.pass(secs(1));
    assert!(case.was_woken(), "by its alarm");
    assert!(case.poll());
    let reset = Sent::Reset(ResetReason::Cancelled);
    assert_eq!(case.stream.take_sent(), [reset]);
    assert_eq!(exchange.over(), Some(Over::Disconnected));
}

#[test]
fn a_client_that_a_thread_waits_for_no_longer_is_cut_off() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(1));
    exchange.start(200);
    exchange.piece(&b"hello"[..], false);
    assert_eq!(case.sends().len(), 2);
    // What comes behind it is not asked for while that waits.
    exchange.piece(&b"more"[..], false);
    assert!(case.was_woken() && !case.poll());
    let waiters = Waiters::default();
    waiters.enter(&exchange);
    waiters.evict(1, carrier.shared.now());
    assert!(case.was_woken() && case.poll());
    let reset = Sent::Reset(ResetReason::Cancelled);
    assert_eq!(case.stream.take_sent(), [reset]);
    assert_eq!(exchange.over(), Some(Over::Disconnected));
    assert_eq!(carrier.bench.service.limited.of(Limit::BlockingThreads), 1);
}

#[test]
fn a_broken_promise_is_a_reset() {
    let broken: [&[Reply]; 3] = [
        &[declared(200, b"3"), piece(b"more", true)],
        &[declared(200, b"9"), piece(b"less", true)],
        &[declared(200, b"9"), piece(b"less", false), Reply::End(None)],
    ];
    for replies in broken {
        let carrier = Carrier::new();
        let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
        for reply in replies {
            exchange.send(clone(reply));
        }
        assert!(case.poll());
        let sent = case.stream.take_sent();
        assert_eq!(sent.last(), Some(&Sent::Reset(ResetReason::Internal)));
    }
}

fn piece(data: &'static [u8], last: bool) -> Reply {
    let data = Bytes::from_static(data);
    Reply::Data { data, last }
}

fn clone(reply: &Reply) -> Reply {
    match reply {
        Reply::Head(head) => Reply::Head(head.clone()),
        Reply::Data { data, last } => Reply::Data {
            data: data.clone(),
            last: *last,
        },
        _ => Reply::End(None),
    }
}

#[test]
fn an_abort_is_a_reset_before_and_behind_the_head() {
    for with_head in [false, true] {
        let carrier = Carrier::new();
        let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
        if with_head {
            exchange.start(200);
        }
        exchange.send(Reply::Abort);
        assert!(case.poll());
        let sent = case.stream.take_sent();
        assert_eq!(sent.last(), Some(&Sent::Reset(ResetReason::Internal)));
        assert_eq!(exchange.over(), Some(Over::Disconnected));
    }
}

#[test]
fn a_lone_head_is_held_for_a_moment() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.start(200);
    assert_eq!(case.sends(), []);
    carrier.pass(Duration::from_millis(19));
    assert_eq!(case.sends(), []);
    case.was_woken();
    carrier.pass(Duration::from_millis(1));
    assert!(case.was_woken());
    assert_eq!(case.sends(), [head(200, None, false)]);
}

#[test]
fn a_file_leaves_in_steps() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[b'x'; 300_000]).unwrap();
    let file = FileRegion::new(Arc::new(file), 10, 299_990);
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(200_000));
    exchange.start(200);
    exchange.send(Reply::File { file, last: true });
    let lens = |sent: Vec<Sent>| -> Vec<usize> {
        let len = |sent: &Sent| match sent {
            Sent::Data(data) | Sent::End(data) => Some(data.len()),
            _ => None,
        };
        sent.iter().filter_map(len).collect()
    };
    assert_eq!(lens(case.sends()), [131_072, 68_928]);
    case.stream.open(200_000);
    assert!(case.poll());
    let rest = case.stream.take_sent();
    assert!(matches!(rest.last(), Some(Sent::End(_))));
    assert_eq!(lens(rest).iter().sum::<usize>(), 99_990);
}

#[test]
fn a_file_that_became_shorter_is_a_reset() {
    let file = FileRegion::new(Arc::new(tempfile::tempfile().unwrap()), 0, 10);
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.start(200);
    exchange.send(Reply::File { file, last: true });
    assert!(case.poll());
    let sent = case.stream.take_sent();
    let reset = Sent::Reset(ResetReason::Internal);
    assert_eq!(sent, [head(200, Some(10), false), reset]);
}

/// Makes pieces for an exchange that is known once the application was called.
struct Pieces {
    exchange: Rc<OnceCell<Arc<Exchange>>>,
    left: usize,
}

impl Source for Pieces {
    fn pull(&mut self) -> bool {
        self.left -= 1;
        let exchange = self.exchange.get().unwrap();
        exchange.piece(&b"piece"[..], self.left == 0);
        self.left > 0
    }
}

/// A source is asked again when its last piece was written.
#[test]
fn a_source_is_pulled_once_a_flush() {
    let carrier = Carrier::new();
    let exchange = Rc::new(OnceCell::new());
    let later = Rc::clone(&exchange);
    carrier.bench.app.set_source(move |_| {
        let exchange = Rc::clone(&later);
        Box::new(Pieces { exchange, left: 3 })
    });
    // Another stream has pulled in this step.
    carrier.shared.has_pulled.set(true);
    let mut case = carrier.transfer("GET", &Fake::bodiless(100));
    assert!(!case.poll());
    assert!(case.was_woken(), "it comes back behind the flush");
    let its = carrier.request().exchange;
    its.start(200);
    exchange.set(its).ok().unwrap();
    carrier.shared.has_pulled.set(false);
    assert_eq!(case.sends(), [head(200, None, false), data(b"piece")]);
    assert!(carrier.shared.has_pulled.get());
    assert_eq!(case.sends(), []);
    carrier.shared.has_pulled.set(false);
    assert_eq!(case.sends(), [data(b"piece")]);
    carrier.shared.has_pulled.set(false);
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), [end(b"piece")]);
}

#[test]
fn nothing_is_made_for_a_connection_that_is_clogged() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    carrier.shared.set_clogged(true);
    exchange.answer(200, b"hello");
    assert_eq!(case.sends(), []);
    case.was_woken();
    carrier.shared.set_clogged(false);
    assert!(case.was_woken());
    assert!(case.poll());
}

#[test]
fn what_the_socket_has_no_room_for_stays_where_it_is() {
    let carrier = Carrier::new();
    carrier.shared.room.ask(|| 3);
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.start(200);
    exchange.piece(b"hello".to_vec(), true);
    carrier.shared.room.open(Some(100_000), 1);
    assert_eq!(case.sends(), [head(200, Some(5), false), data(b"hel")]);
    assert!(carrier.shared.room.is_awaited());
    // The socket is full. The clock of the stream does not run: its peer is not asked.
    carrier.shared.room.open(None, 1);
    carrier.pass(secs(600));
    assert!(!case.poll());
    case.was_woken();
    carrier.shared.room.open(Some(0), 1);
    carrier.shared.room.wake();
    assert!(case.was_woken());
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), [end(b"lo")]);
}

/// The clock of one stream does not run while the connection itself takes nothing: that has its own.
#[test]
fn a_clogged_connection_is_not_the_streams_fault() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(1));
    exchange.answer(200, b"hello");
    case.poll();
    carrier.shared.set_clogged(true);
    assert!(!case.poll());
    carrier.pass(secs(600));
    assert!(!case.poll());
}

#[test]
fn a_connection_that_holds_its_transfers_polls_none() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.answer(200, b"hello");
    carrier.shared.set_held(true);
    case.was_woken();
    assert_eq!(case.sends(), []);
    assert!(case.was_woken());
    carrier.shared.set_held(false);
    assert!(case.poll());
}

/// RFC 9113, 8.4.1: promises leave before what refers to them.
#[test]
fn promises_go_first() {
    let carrier = Carrier::new();
    let stream = Fake::bodiless(100);
    stream.0.borrow_mut().accepts_push = true;
    let (mut case, exchange) = carrier.called("GET", &stream);
    exchange.start(200);
    exchange.send(Reply::Push(Promise::new("/a.css").unwrap()));
    exchange.piece(&b"body"[..], true);
    assert_eq!(case.sends(), [Sent::Push("/a.css".into())]);
    assert!(case.was_woken(), "the rest follows behind the promise");
    assert!(case.poll());
    let sent = case.stream.take_sent();
    assert_eq!(sent, [head(200, Some(4), false), end(b"body")]);
}

#[test]
fn a_peer_that_takes_no_pushes_gets_none() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    exchange.send(Reply::Push(Promise::new("/a.css").unwrap()));
    exchange.answer(200, b"body");
    assert!(case.poll());
    let sent = case.stream.take_sent();
    assert_eq!(sent, [head(200, Some(4), false), end(b"body")]);
}

#[test]
fn informational_heads_have_a_place_before_the_head_only() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    let hints = || Reply::Informational(ResponseHead::informational(103).unwrap());
    exchange.send(hints());
    assert_eq!(case.sends(), [Sent::Informational(103)]);
    exchange.start(200);
    exchange.piece(&b"x"[..], false);
    exchange.send(hints());
    assert_eq!(case.sends(), [head(200, None, false), data(b"x")]);
}

#[test]
fn a_peer_that_resets_takes_the_response_back() {
    let carrier = Carrier::new();
    let (mut case, exchange) = carrier.called("GET", &Fake::bodiless(100));
    case.stream.break_off();
    assert!(case.was_woken());
    assert!(case.poll());
    assert_eq!(case.stream.take_sent(), []);
    assert_eq!(exchange.over(), Some(Over::Disconnected));
}
