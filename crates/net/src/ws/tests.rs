//! The drive loop of open WebSocket connections, on a stream in memory and a clock that the test moves.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::close::CloseCause;
use crate::exchange::messages::{Ended, EndedBy, Message, MessageQueue};
use crate::exchange::reply::Reply;
use crate::limits::Limits;
use crate::stream::socket::Stream as _;
use crate::testing::{Wire, limits};

const OPEN: &str = "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ROOM: usize = 1 << 20;
// First bytes of frames (RFC 6455, 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Plays a script on a connection that is open.
fn play<F: Future<Output = ()>>(
    limits: Limits,
    room: usize,
    script: impl FnOnce(Wire, Arc<MessageQueue>) -> F,
) {
    Wire::play(limits, room, |mut wire| async move {
        wire.app.speaks_websocket.set(true);
        wire.say(OPEN).await;
        let request = wire.app.request().await;
        let opening = request.websocket.unwrap();
        let head = opening.handshake.accept(None).unwrap();
        request.exchange.send(Reply::Upgrade(head));
        assert!(wire.hear().await.starts_with("HTTP/1.1 101 "));
        script(wire, opening.messages).await;
    });
}

/// A client's frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let head = [first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    [&head, payload].concat()
}

/// A server's frame.
fn answer(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

/// A server's Close.
fn closing(code: u16, reason: &str) -> Vec<u8> {
    answer(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

async fn next(socket: &MessageQueue) -> Result<String, Ended> {
    let message = poll_fn(|cx| socket.poll_receive(cx)).await?;
    Ok(String::from_utf8(message.data.to_vec()).unwrap())
}

fn text(data: impl Into<Bytes>) -> Message {
    Message {
        data: data.into(),
        is_text: true,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Pings after 20 seconds of silence, with 10 for the answer.
fn pinging() -> Limits {
    let mut limits = limits();
    limits.websocket.ping_interval = Some(secs(20));
    limits.websocket.ping_timeout = Some(secs(10));
    limits
}

#[test]
fn messages_go_both_ways() {
    play(limits(), ROOM, |mut wire, socket| async move {
        wire.say(frame(TEXT, b"to you")).await;
        assert_eq!(next(&socket).await, Ok("to you".to_owned()));
        socket.send(text("to me"));
        assert_eq!(wire.hear_bytes().await, answer(TEXT, b"to me"));
    });
}

#[test]
fn a_close_of_the_peer_s_is_answered() {
    play(limits(), ROOM, |mut wire, socket| async move {
        wire.say(frame(CLOSE, b"\x03\xe8bye")).await;
        let ended = next(&socket).await.unwrap_err();
        assert_eq!((ended.code, ended.by), (1000, EndedBy::Peer));
        assert_eq!(wire.hear_bytes().await, closing(1000, "bye"));
        // The server ends first (RFC 6455, 7.1.1).
        assert!(wire.end.is_ended() && wire.cause().is_none());
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::WebSocketClosed));
    });
}

#[test]
fn a_close_of_the_application_s_goes_behind_what_it_sent() {
    play(limits(), ROOM, |mut wire, socket| async move {
        socket.send(text("last"));
        socket.close(1001, Bytes::from_static(b"away"));
        let heard = wire.hear_bytes().await;
        assert_eq!(
            heard,
            [answer(TEXT, b"last"), closing(1001, "away")].concat()
        );
        wire.say(frame(CLOSE, b"\x03\xe9")).await;
        assert!(wire.end.is_ended());
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::WebSocketClosed));
    });
}

#[test]
fn a_close_that_is_not_answered_has_its_time() {
    play(limits(), ROOM, |wire, socket| async move {
        socket.close(1000, Bytes::new());
        wire.bench.pass(secs(9)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::PingTimeout));
    });
}

#[test]
fn a_peer_that_is_there_is_asked_again_and_again() {
    play(pinging(), ROOM, |mut wire, _socket| async move {
        for _ in 0..5 {
            wire.bench.pass(secs(20)).await;
            assert_eq!(wire.hear_bytes().await, answer(PING, b""));
            wire.bench.pass(secs(9)).await;
            wire.say(frame(PONG, b"")).await;
            assert_eq!(wire.cause(), None);
        }
    });
}

#[test]
fn a_peer_that_answers_no_ping_is_gone() {
    play(pinging(), ROOM, |mut wire, socket| async move {
        wire.bench.pass(secs(20)).await;
        assert_eq!(wire.hear_bytes().await, answer(PING, b""));
        wire.bench.pass(secs(11)).await;
        let ended = next(&socket).await.unwrap_err();
        assert_eq!((ended.code, ended.by), (1006, EndedBy::Loss));
        assert_eq!(
            wire.hear_bytes().await,
            closing(1011, "keepalive ping timeout")
        );
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::PingTimeout));
    });
}

#[test]
fn a_connection_without_messages_is_closed() {
    let mut limits = limits();
    limits.websocket.idle_timeout = Some(secs(60));
    play(limits, ROOM, |mut wire, socket| async move {
        wire.bench.pass(secs(50)).await;
        wire.say(frame(TEXT, b"still here")).await;
        wire.bench.pass(secs(59)).await;
        assert_eq!(wire.hear_bytes().await, b"");
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.hear_bytes().await, closing(1001, "idle"));
        wire.say(frame(CLOSE, b"\x03\xe9")).await;
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::IdleTimeout));
        assert_eq!(socket.ended().unwrap().by, EndedBy::Server);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_reset() {
    play(limits(), 1000, |wire, socket| async move {
        socket.send(text(vec![b'x'; 50_000]));
        wire.bench.settle().await;
        assert_eq!(wire.end.unread(), 1000);
        wire.bench.pass(secs(30)).await;
        wire.bench.pass(secs(29)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(1)).await;
        assert_eq!(wire.cause(), Some(CloseCause::WriteTimeout));
        assert!(wire.end.was_reset());
        assert_eq!(socket.ended().unwrap().by, EndedBy::Loss);
    });
}

#[test]
fn a_worker_that_drains_says_so() {
    play(limits(), ROOM, |mut wire, socket| async move {
        wire.bench.drain();
        assert_eq!(wire.hear_bytes().await, closing(1001, "server is stopping"));
        assert_eq!(socket.ended().unwrap().by, EndedBy::Server);
        wire.say(frame(CLOSE, b"\x03\xe9")).await;
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::Drained));
    });
}

#[test]
fn a_worker_that_waits_no_longer_cuts_connections() {
    play(limits(), ROOM, |wire, socket| async move {
        wire.bench.cancel();
        wire.bench.settle().await;
        assert_eq!(wire.cause(), Some(CloseCause::Cancelled));
        assert_eq!(socket.ended().unwrap().by, EndedBy::Loss);
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_told_why() {
    play(limits(), ROOM, |mut wire, socket| async move {
        // Without a mask.
        wire.say([TEXT, 1, b'x']).await;
        let ended = next(&socket).await.unwrap_err();
        assert_eq!((ended.code, ended.by), (1006, EndedBy::Loss));
        let heard = wire.hear_bytes().await;
        assert_eq!((heard[0], &heard[2..4]), (CLOSE, &b"\x03\xea"[..]));
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::ProtocolError));
    });
}

#[test]
fn a_peer_that_is_gone_is_lost() {
    play(limits(), ROOM, |wire, socket| async move {
        drop(wire.end);
        assert_eq!(next(&socket).await.unwrap_err().by, EndedBy::Loss);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::PeerClosed));
    });
    play(limits(), ROOM, |mut wire, socket| async move {
        wire.end.reset_on_close();
        drop(wire.end);
        assert_eq!(next(&socket).await.unwrap_err().by, EndedBy::Loss);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::PeerLost));
    });
}

#[test]
fn no_more_is_read_than_the_application_has_room_for() {
    let mut limits = limits();
    limits.websocket.queue_size = 1000;
    play(limits, ROOM, |mut wire, socket| async move {
        for _ in 0..1000 {
            wire.end.send(&frame(TEXT, &[b'x'; 100]));
        }
        wire.bench.settle().await;
        let unread = wire.end.unsent();
        assert!(unread > 50_000, "{unread}");
        for _ in 0..1000 {
            assert_eq!(next(&socket).await.unwrap().len(), 100);
            wire.bench.settle().await;
        }
        assert_eq!(wire.end.unsent(), 0);
    });
}
