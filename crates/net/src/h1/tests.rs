//! The drive loop of HTTP/1, on a stream in memory and a clock that the test moves.

mod limits;

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use granian_proto::PeerError;

use crate::close::CloseCause;
use crate::exchange::app::Source;
use crate::exchange::reply::Reply;
use crate::exchange::{Exchange, Over};
use crate::limits::Limits;
use crate::stream::region::FileRegion;
use crate::stream::socket::Stream as _;
use crate::testing::{Wire, limits};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: granian\r\n\r\nhello";
const ROOM: usize = 1 << 20;

fn play<F: Future<Output = ()>>(script: impl FnOnce(Wire) -> F) {
    Wire::play(limits(), ROOM, script);
}

/// A time without requests that differs from the one for a head.
fn patient() -> Limits {
    let mut limits = limits();
    limits.timeouts.keep_alive = secs(75);
    limits
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_connection_serves_one_request_after_another() {
    play(|mut wire| async move {
        for _ in 0..3 {
            wire.say(GET).await;
            wire.app.request().await.exchange.answer(200, b"hello");
            assert_eq!(wire.hear().await, HELLO);
        }
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::PeerClosed));
        assert_eq!(wire.bench.service.handled.get(), 3);
    });
}

#[test]
fn a_request_byte_by_byte_is_one_request() {
    play(|mut wire| async move {
        for byte in GET.bytes() {
            assert!(!wire.app.was_called());
            wire.say([byte]).await;
        }
        wire.app.request().await.exchange.answer(200, b"hello");
        assert_eq!(wire.hear().await, HELLO);
    });
}

#[test]
fn pipelined_requests_are_answered_one_by_one_and_in_order() {
    play(|mut wire| async move {
        wire.say(GET.repeat(3)).await;
        for body in [&b"one"[..], b"two", b"six"] {
            let exchange = wire.app.request().await.exchange;
            wire.bench.settle().await;
            assert!(!wire.app.was_called(), "the next one waits");
            exchange.answer(200, body);
            wire.bench.settle().await;
        }
        let heard = wire.hear().await;
        let bodies: Vec<_> = heard.split("\r\n\r\n").map(|part| &part[..3]).collect();
        assert_eq!(bodies, ["HTT", "one", "two", "six"]);
    });
}

#[test]
fn little_is_read_behind_a_request_that_is_not_answered() {
    play(|mut wire| async move {
        wire.say(GET.repeat(10_000)).await;
        let sent = GET.len() * 10_000;
        assert!(wire.end.unsent() > sent - 64 * 1024);
        wire.app.request().await.exchange.answer(200, b"hello");
    });
}

#[test]
fn a_client_that_says_close_gets_one_response_and_the_end() {
    play(|mut wire| async move {
        wire.say("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        wire.app.request().await.exchange.answer(200, b"hello");
        assert!(wire.hear().await.contains("connection: close"));
        assert!(wire.end.is_ended() && !wire.end.was_reset());
        assert_eq!(wire.cause(), Some(CloseCause::Answered));
    });
}

#[test]
fn a_head_that_does_not_come_whole_is_answered_in_time() {
    Wire::play(patient(), ROOM, |mut wire| async move {
        wire.bench.pass(secs(10)).await;
        wire.say("GET / HTTP/1.1\r\n").await;
        wire.bench.pass(secs(19)).await;
        assert_eq!(wire.hear().await, "");
        // The time of a first head counts from the accept.
        wire.bench.pass(secs(2)).await;
        assert!(
            wire.hear()
                .await
                .starts_with("HTTP/1.1 408 Request Timeout\r\n")
        );
        let refused = (408, "-".into(), "-".into(), 0);
        assert_eq!(*wire.app.answered.borrow(), [refused]);
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::HeadTimeout));
    });
}

#[test]
fn a_connection_without_a_first_request_is_closed_without_a_word() {
    play(|mut wire| async move {
        wire.bench.pass(secs(29)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.hear().await, "");
        assert!(wire.end.is_ended());
        assert_eq!(wire.cause(), Some(CloseCause::IdleTimeout));
    });
}

#[test]
fn an_idle_connection_has_a_time_of_its_own() {
    Wire::play(patient(), ROOM, |mut wire| async move {
        wire.say(GET).await;
        wire.bench.pass(secs(3600)).await;
        wire.app.request().await.exchange.answer(200, b"hello");
        assert_eq!(wire.hear().await, HELLO);
        wire.bench.pass(secs(74)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::IdleTimeout));
    });
}

#[test]
fn a_body_that_stops_is_refused_in_time() {
    play(|mut wire| async move {
        wire.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.pass(secs(59)).await;
        assert_eq!(exchange.over(), None);
        wire.bench.pass(secs(2)).await;
        assert_eq!(exchange.over(), Some(Over::Refused(408)));
        assert!(wire.hear().await.starts_with("HTTP/1.1 408 "));
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::BodyTimeout));
    });
}

#[test]
fn a_peer_that_takes_nothing_of_a_response_is_reset() {
    Wire::play(limits(), 1000, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 50_000], true);
        wire.bench.settle().await;
        assert_eq!(wire.end.unread(), 1000);
        wire.bench.pass(secs(30)).await;
        wire.bench.pass(secs(29)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(1)).await;
        assert_eq!(wire.cause(), Some(CloseCause::WriteTimeout));
        assert!(wire.end.was_reset());
    });
}

#[test]
fn a_slow_reader_lives() {
    Wire::play(limits(), 1000, |mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(vec![b'x'; 9_000], true);
        let mut heard = 0;
        for _ in 0..8 {
            wire.bench.pass(secs(55)).await;
            assert_eq!(wire.cause(), None);
            heard += wire.end.recv().await.len();
            wire.bench.settle().await;
        }
        heard += wire.hear().await.len();
        assert!(heard > 9_000);
        wire.say(GET).await;
        wire.app.request().await.exchange.answer(200, b"hello");
        assert_eq!(wire.hear().await, HELLO, "its idle time begins after that");
    });
}

#[test]
fn what_a_refused_peer_still_sends_is_thrown_away_for_a_moment() {
    play(|mut wire| async move {
        wire.say("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n")
            .await;
        assert!(wire.hear().await.starts_with("HTTP/1.1 400 "));
        assert!(wire.end.is_ended() && !wire.end.was_reset());
        wire.say("more and more").await;
        assert_eq!(wire.end.unsent(), 0, "it was read");
        assert_eq!(wire.cause(), None);
        wire.bench.pass(secs(2)).await;
        let cause = CloseCause::Refused(PeerError::ContentLength);
        assert_eq!(wire.cause(), Some(cause));
        assert_eq!(wire.bench.service.closed.of(cause), 1);
    });
}

#[test]
fn a_worker_that_drains_closes_idle_connections_after_a_moment() {
    play(|mut wire| async move {
        wire.say(GET).await;
        wire.app.request().await.exchange.answer(200, b"hello");
        wire.hear().await;
        wire.bench.drain();
        wire.bench.pass(Duration::from_millis(199)).await;
        assert_eq!(wire.cause(), None);
        wire.bench.pass(Duration::from_millis(2)).await;
        assert_eq!(wire.cause(), Some(CloseCause::Drained));
        assert!(wire.end.is_ended());
    });
}

#[test]
fn a_worker_that_drains_finishes_what_is_under_way() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.drain();
        wire.bench.pass(secs(60)).await;
        exchange.answer(200, b"hello");
        assert!(wire.hear().await.contains("connection: close"));
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::Drained));
    });
}

#[test]
fn a_worker_that_waits_no_longer_cuts_what_is_under_way() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.cancel();
        wire.bench.settle().await;
        assert_eq!(exchange.over(), Some(Over::Disconnected));
        assert_eq!(wire.cause(), Some(CloseCause::Cancelled));
    });
}

#[test]
fn a_response_without_a_length_that_is_aborted_ends_by_a_reset() {
    play(|mut wire| async move {
        wire.say("GET / HTTP/1.0\r\n\r\n").await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"half"[..], false);
        wire.bench.settle().await;
        exchange.send(Reply::Abort);
        wire.bench.settle().await;
        assert!(wire.end.was_reset());
        assert_eq!(wire.cause(), Some(CloseCause::Aborted));
    });
}

#[test]
fn a_chunked_response_that_is_aborted_lacks_its_end() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        exchange.start(200);
        exchange.piece(&b"half"[..], false);
        exchange.send(Reply::Abort);
        assert!(wire.hear().await.ends_with("\r\n\r\n4\r\nhalf\r\n"));
        assert!(wire.end.is_ended() && !wire.end.was_reset());
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::Aborted));
    });
}

#[test]
fn a_file_that_became_shorter_cuts_its_response() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        let file = FileRegion::new(Arc::new(File::open("/dev/null").unwrap()), 0, 10);
        exchange.start(200);
        exchange.send(Reply::File { file, last: true });
        assert!(wire.hear().await.contains("content-length: 10"));
        assert!(wire.end.is_ended());
        assert_eq!(wire.cause(), Some(CloseCause::Aborted));
    });
}

#[test]
fn a_client_that_has_ended_its_side_is_still_answered() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.end.finish();
        wire.bench.settle().await;
        assert_eq!(exchange.over(), Some(Over::Disconnected), "it is told");
        exchange.answer(200, b"hello");
        assert!(wire.hear().await.ends_with("hello"));
        assert_eq!(wire.cause(), Some(CloseCause::PeerClosed));
    });
}

#[test]
fn a_reset_ends_the_exchange() {
    play(|mut wire| async move {
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.end.reset_on_close();
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(exchange.over(), Some(Over::Disconnected));
        assert_eq!(wire.app.cause(), Some(CloseCause::PeerLost));
    });
}

#[test]
fn the_preface_of_http_2_is_known_however_it_comes() {
    play(|mut wire| async move {
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
            assert_eq!(wire.end.unread(), 0);
            wire.say([*byte]).await;
        }
        // SETTINGS come first (RFC 9113, 3.4).
        assert_eq!(wire.hear_bytes().await[3..5], [4, 0]);
        assert!(wire.app.answered.borrow().is_empty());
    });
}

#[test]
fn what_only_begins_like_the_preface_is_http_1() {
    play(|mut wire| async move {
        wire.say("P").await;
        wire.say("OST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            .await;
        wire.app.request().await.exchange.answer(200, b"hello");
        assert_eq!(wire.hear().await, HELLO);
    });
}

#[test]
fn half_a_preface_and_the_end_is_no_error() {
    play(|mut wire| async move {
        wire.say("PRI * HT").await;
        drop(wire.end);
        wire.bench.settle().await;
        assert_eq!(wire.app.cause(), Some(CloseCause::PeerClosed));
        assert!(wire.app.answered.borrow().is_empty());
    });
}

/// Makes a hundred pieces of 1000 bytes.
struct Pieces(Arc<Exchange>, usize);

impl Source for Pieces {
    fn pull(&mut self) -> bool {
        self.1 += 1;
        self.0.piece(vec![b'x'; 1000], self.1 == 100);
        self.1 < 100
    }
}

#[test]
fn a_source_is_asked_as_fast_as_the_peer_reads() {
    Wire::play(limits(), 2500, |mut wire| async move {
        wire.app.set_source(|exchange| {
            exchange.start(200);
            Box::new(Pieces(exchange, 0))
        });
        wire.say(GET).await;
        let exchange = wire.app.request().await.exchange;
        wire.bench.pass(secs(1)).await;
        assert!(exchange.over().is_none() && wire.end.unread() == 2500);
        let mut heard = 0;
        while exchange.over().is_none() {
            heard += wire.end.recv().await.len();
            wire.bench.settle().await;
        }
        assert!((100_000..110_000).contains(&(heard + wire.end.unread())));
        assert_eq!(exchange.over(), Some(Over::Answered));
    });
}
