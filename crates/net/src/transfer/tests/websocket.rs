//! A stream that carries a WebSocket connection (RFC 8441, RFC 9220).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use granian_proto::{RequestHeadBuilder, Version};

use super::fake::{Fake, Sent};
use super::{Carrier, Case};
use crate::exchange::Over;
use crate::exchange::messages::{Ended, EndedBy, Message, MessageQueue};
use crate::exchange::reply::Reply;
use crate::transfer::{ResetReason, tunnel};

/// A transfer for a request that the application has accepted, and its messages.
fn opened(carrier: &Carrier, stream: &Fake) -> (Case, Arc<MessageQueue>) {
    let (mut case, socket, reply) = asked(carrier, stream);
    let request = carrier.request();
    request.exchange.send(reply);
    assert!(!case.poll());
    let sent = stream.take_sent();
    let head = Sent::Head {
        status: 200,
        length: None,
        ends: false,
    };
    assert_eq!(sent, [head]);
    assert_eq!(request.exchange.over(), Some(Over::Answered));
    (case, socket)
}

/// A transfer that was polled once, its messages, and the reply that accepts it.
fn asked(carrier: &Carrier, stream: &Fake) -> (Case, Arc<MessageQueue>, Reply) {
    let mut head = RequestHeadBuilder::new(Version::Http2, "GET", b"/");
    head.set_authority("a.example");
    head.append(b"sec-websocket-version", b"13");
    let head = head.build();
    let opening = tunnel::opening(&carrier.bench.service, &head).unwrap();
    let accept = Reply::Upgrade(opening.handshake.accept(None).unwrap());
    let socket = Arc::clone(&opening.messages);
    let mut case = carrier.open(head, Some(opening), stream);
    assert!(!case.poll());
    (case, socket, accept)
}

/// A text frame of a client's, masked with zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";

#[test]
fn messages_go_both_ways() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, socket) = opened(&carrier, &stream);
    stream.put(Some(HELLO));
    assert!(case.was_woken());
    assert!(!case.poll());
    let message = socket.try_receive().unwrap().unwrap();
    assert_eq!(&message.data[..], b"hello");
    assert_eq!(stream.0.borrow().opened, HELLO.len());
    socket.send(Message {
        data: Bytes::from_static(b"hi"),
        is_text: true,
    });
    assert!(case.was_woken());
    assert!(!case.poll());
    let frame = Sent::Data(Bytes::from_static(b"\x81\x02hi"));
    assert_eq!(stream.take_sent(), [frame]);
}

/// What comes before the application has accepted stays with the protocol.
#[test]
fn messages_wait_for_the_handshake() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    stream.put(Some(HELLO));
    let (mut case, socket, accept) = asked(&carrier, &stream);
    assert!(socket.try_receive().is_none());
    carrier.request().exchange.send(accept);
    assert!(!case.poll());
    let message = socket.try_receive().unwrap().unwrap();
    assert_eq!(&message.data[..], b"hello");
}

#[test]
fn a_frame_goes_as_far_as_the_peer_takes_it() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(3);
    let (mut case, socket) = opened(&carrier, &stream);
    socket.send(Message {
        data: Bytes::from_static(b"hi"),
        is_text: true,
    });
    assert!(!case.poll());
    let beginning = Sent::Data(Bytes::from_static(b"\x81\x02h"));
    assert_eq!(stream.take_sent(), [beginning]);
    stream.open(10);
    assert!(!case.poll());
    let rest = Sent::Data(Bytes::from_static(b"i"));
    assert_eq!(stream.take_sent(), [rest]);
}

#[test]
fn a_refused_handshake_is_a_response() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, socket, _) = asked(&carrier, &stream);
    carrier.request().exchange.answer(403, b"no");
    assert!(!case.poll(), "the client's side is open");
    assert_eq!(stream.take_sent().len(), 2);
    carrier.pass(Duration::from_secs(5));
    assert!(case.poll());
    assert_eq!(lost(&socket), Some(EndedBy::Loss));
}

#[test]
fn a_reset_loses_the_connection() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, socket) = opened(&carrier, &stream);
    stream.break_off();
    assert!(case.was_woken());
    assert!(case.poll());
    assert_eq!(lost(&socket), Some(EndedBy::Loss));
}

#[test]
fn a_client_that_leaves_before_the_answer_is_told_of() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, socket, _) = asked(&carrier, &stream);
    stream.break_off();
    assert!(case.poll());
    assert_eq!(lost(&socket), Some(EndedBy::Loss));
}

/// RFC 8441, 5: an orderly end is END_STREAM.
#[test]
fn a_close_ends_the_stream() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(100);
    let (mut case, socket) = opened(&carrier, &stream);
    stream.put(Some(b"\x88\x82\0\0\0\0\x03\xe8"));
    assert!(!case.poll());
    let sent = stream.take_sent();
    let close = Sent::Data(Bytes::from_static(b"\x88\x02\x03\xe8"));
    assert_eq!(sent, [close, Sent::End(Bytes::new())]);
    assert_eq!(lost(&socket), Some(EndedBy::Peer));
    stream.put(None);
    assert!(case.poll());
    assert_eq!(stream.take_sent(), []);
}

/// RFC 8441, 5: what would be a TCP reset is CANCEL.
#[test]
fn a_peer_that_takes_nothing_is_reset() {
    let carrier = Carrier::new();
    let stream = Fake::with_body(0);
    let (mut case, socket) = opened(&carrier, &stream);
    socket.send(Message {
        data: Bytes::from_static(b"hi"),
        is_text: true,
    });
    assert!(!case.poll());
    let mut waited = Duration::ZERO;
    while !case.poll() {
        let step = Duration::from_secs(10);
        carrier.pass(step);
        waited += step;
        assert!(
            waited < Duration::from_secs(120),
            "it is waited for so long"
        );
    }
    let reset = Sent::Reset(ResetReason::Cancelled);
    assert_eq!(stream.take_sent(), [reset]);
    assert_eq!(lost(&socket), Some(EndedBy::Loss));
}

fn lost(socket: &MessageQueue) -> Option<EndedBy> {
    socket.ended().map(|ended: Ended| ended.by)
}
