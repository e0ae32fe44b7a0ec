//! `serve`: finds the protocol of an accepted connection, and hands the stream on when it changes.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use granian_proto::proxy::{HeaderError, MAX_HEADER, ProxyHeader};

use crate::bounds::{LINGER, STEPS_PER_TURN};
use crate::close::{CloseCause, Limit};
use crate::crowd::Member;
use crate::exchange::app::Peer;
use crate::h1::{Connection, Next};
use crate::h2;
use crate::metrics::Present;
use crate::runtime::reactor::TaskHandle;
use crate::service::{Service, Stage};
use crate::stream::output::Output;
use crate::stream::socket::{Io, Stream};
use crate::stream::wire::Wire;
use crate::tls::session::{self, Failed, Session};
use crate::ws;

/// A connection at work. Each step that leads to another protocol makes the future of that one, and its own memory is
/// given back. What a future is given is moved into the one that it makes; an `async fn` would keep a place for both.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// Serves `io` until it is closed; `member` is dropped then.
pub(crate) fn serve(
    io: Io,
    peer: Peer,
    member: Member,
    service: Rc<Service>,
    handle: TaskHandle,
) -> Serving {
    if service.proxy_protocol().is_none() && service.tls().is_none() {
        return Box::pin(serve_http(io, Arc::new(peer), service, handle, member));
    }
    let opening = Box::pin(open(io, peer, member, service, handle));
    Box::pin(async move {
        if let Some(serving) = opening.await {
            serving.await;
        }
    })
}

/// What comes before HTTP: the header of a proxy, a TLS handshake.
async fn open(
    mut io: Io,
    mut peer: Peer,
    mut member: Member,
    service: Rc<Service>,
    handle: TaskHandle,
) -> Option<Serving> {
    if service.proxy_protocol().is_some() {
        let relayed = Box::pin(take_proxy_header(&mut io, &mut peer, &service, &handle)).await;
        if let Err(cause) = relayed {
            service.note_closed(&peer, cause);
            return None;
        }
        if peer.is_relayed && !member.count_for(&peer.remote) {
            service.note_limit(&peer, Limit::MaxConnectionsPerClient);
            service.note_closed(&peer, CloseCause::CrowdedOut);
            return None;
        }
    }
    let Some(tls) = service.tls() else {
        let peer = Arc::new(peer);
        return Some(Box::pin(serve_http(io, peer, service, handle, member)));
    };
    let until = handle.now() + tls.handshake_timeout();
    let handshake = async { Ok(session::accept(io, tls).await) };
    let agreed = in_time(Box::pin(handshake), until, &service, &handle).await;
    let (session, info) = match agreed {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(failed)) => {
            let refused = Box::pin(refuse_tls(failed, &peer, &service, &handle));
            refused.await;
            return None;
        }
        Err(error) => {
            if service.stage.get() == Stage::Serving {
                service.note_limit(&peer, Limit::SslHandshakeTimeout);
            }
            service.app.journal().handshake_failed(&peer, &error);
            service.note_closed(&peer, CloseCause::HandshakeFailed);
            return None;
        }
    };
    peer.scheme = "https";
    peer.tls = Some(info);
    Some(serve_session(
        session,
        Arc::new(peer),
        member,
        service,
        handle,
    ))
}

/// Takes the header of the PROXY protocol from the beginning of the connection, and notes its client in `peer`. No byte
/// behind it is taken: it may be the first one of a TLS handshake.
async fn take_proxy_header(
    io: &mut Io,
    peer: &mut Peer,
    service: &Service,
    handle: &TaskHandle,
) -> Result<(), CloseCause> {
    let proxies = service.proxy_protocol();
    let refuse = |peer: &Peer, reason: &str| {
        service.complain_of_proxy(handle.now(), peer, reason);
        CloseCause::ProxyRefused
    };
    if !proxies.is_some_and(|proxies| proxies.trusts(peer)) {
        return Err(refuse(peer, UNTRUSTED));
    }
    let until = handle.now() + service.limits.timeouts.head;
    let header = poll_fn(|_| poll_proxy_header(io));
    match in_time(header, until, service, handle).await {
        Ok(Ok(header)) => {
            peer.relay(&header);
            Ok(())
        }
        Ok(Err(error)) => Err(refuse(peer, &error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(CloseCause::PeerClosed),
        Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(CloseCause::PeerLost),
        Err(_) if service.stage.get() != Stage::Serving => Err(CloseCause::Drained),
        Err(_) => Err(CloseCause::HeadTimeout),
    }
}

/// # Errors
/// The error of the socket; `UnexpectedEof` if the peer has ended its side before the header did.
fn poll_proxy_header(io: &mut Io) -> Poll<io::Result<Result<ProxyHeader, HeaderError>>> {
    let mut bytes = [0; MAX_HEADER];
    let count = ready!(io.poll_peek(&mut bytes))?;
    match ProxyHeader::parse(&bytes[..count]) {
        Ok(None) if count == 0 || io.is_hung_up() => {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        Ok(None) => {
            io.wait_for_more();
            Poll::Pending
        }
        Ok(Some(header)) => {
            io.skip(header.len, &mut bytes)?;
            Poll::Ready(Ok(Ok(header)))
        }
        Err(error) => Poll::Ready(Ok(Err(error))),
    }
}

/// Ends a connection whose handshake has failed.
async fn refuse_tls(failed: Failed<Io>, peer: &Peer, service: &Service, handle: &TaskHandle) {
    let Failed { io, error } = failed;
    service.app.journal().handshake_failed(peer, &error);
    if error.kind() == io::ErrorKind::InvalidData {
        linger(io, service, handle).await;
    }
    service.note_closed(peer, CloseCause::HandshakeFailed);
}

fn serve_session(
    session: Session<Io>,
    peer: Arc<Peer>,
    member: Member,
    service: Rc<Service>,
    handle: TaskHandle,
) -> Serving {
    // Without ALPN the first bytes decide, as on a plain socket.
    if session.alpn() != Some(ALPN_HTTP2) {
        return Box::pin(serve_http(session, peer, service, handle, member));
    }
    let opened = h2::Opened {
        io: session,
        input: BytesMut::new(),
        upgrade: None,
    };
    let serving = Box::pin(h2::serve(opened, peer, service, handle));
    Box::pin(async move {
        serving.await;
        drop(member);
    })
}

/// Serves a stream that begins with HTTP/1 until it is closed; `kept` is dropped then.
pub(crate) fn serve_http<S: Stream + 'static>(
    io: S,
    peer: Arc<Peer>,
    service: Rc<Service>,
    handle: TaskHandle,
    kept: impl Sized + 'static,
) -> impl Future<Output = ()> + 'static {
    let http1 = Connection::new(io, Arc::clone(&peer), Rc::clone(&service), handle.clone());
    async move {
        let next: Serving = match http1.run().await {
            Next::Close(cause) => return service.note_closed(&peer, cause),
            Next::Http2(opened) => Box::pin(h2::serve(opened, peer, service, handle)),
            Next::WebSocket(upgraded) => {
                // Its opening may have been answered at once.
                service.crowd.note_busy(handle.key());
                let present = Present::websocket_connection(service.metrics());
                let connection = ws::Connection::new(*upgraded, Rc::clone(&service), handle);
                Box::pin(async move {
                    let cause = connection.run().await;
                    service.note_closed(&peer, cause);
                    drop(present);
                })
            }
        };
        next.await;
        drop(kept);
    }
}

/// Ends our side and throws away input until the peer ends its own. To close with unread bytes would reset the
/// connection, and the peer might not see the alert that has its reason.
async fn linger<S: Stream>(io: S, service: &Service, handle: &TaskHandle) {
    let write_timeout = service.limits.timeouts.write;
    let mut wire = Wire::new(io, BytesMut::new(), Output::default(), write_timeout);
    let until = handle.now() + LINGER;
    poll_fn(|cx| {
        let now = handle.now();
        if until <= now || service.stage.get() == Stage::Cancelled {
            return Poll::Ready(());
        }
        handle.set_deadline(Some(until));
        ready!(wire.poll_end(cx, now));
        for _ in 0..STEPS_PER_TURN {
            if ready!(wire.poll_linger(cx, now, until, &service.buffers)).is_none() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The result of `handshake`; an error if it takes too long or the worker stops.
async fn in_time<T>(
    handshake: impl Future<Output = io::Result<T>>,
    until: Instant,
    service: &Service,
    handle: &TaskHandle,
) -> io::Result<T> {
    let mut handshake = pin!(handshake);
    poll_fn(|cx| {
        if let Poll::Ready(result) = handshake.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        // After the read: this thread may have been busy past the deadline, with the bytes waiting.
        let now = handle.now();
        let until = service
            .drain_grace(true)
            .map_or(until, |grace| until.min(grace));
        if until <= now || service.stage.get() == Stage::Cancelled {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        handle.set_deadline(Some(until));
        Poll::Pending
    })
    .await
}

const UNTRUSTED: &str = "it is none of forwarded_allow_ips";
/// The ALPN name of HTTP/2 (RFC 9113, 3.2).
const ALPN_HTTP2: &[u8] = b"h2";

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;
    use crate::testing::Bench;

    /// The outcome of a handshake after a second: of one that never ends, or of one that ends with the deadline.
    fn outcome(deadline: Duration, ends: bool) -> Option<bool> {
        let bench = Bench::new();
        let result = Rc::new(RefCell::new(None));
        let (service, found) = (Rc::clone(&bench.service), Rc::clone(&result));
        bench.run(async {
            let until = bench.reactor.clock().now() + deadline;
            bench.spawn(|handle| async move {
                let late = poll_fn(|_| match ends && until <= handle.now() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                });
                let handshake = async {
                    match ends {
                        true => late.await,
                        false => pending().await,
                    }
                    ready(Ok(())).await
                };
                let ended = in_time(handshake, until, &service, &handle).await;
                found.replace(Some(ended.is_ok()));
            });
            bench.pass(Duration::from_secs(1)).await;
        });
        result.take()
    }

    #[test]
    fn a_handshake_has_its_time() {
        let (second, step) = (Duration::from_secs(1), Duration::from_nanos(1));
        assert_eq!(outcome(second + step, false), None);
        assert_eq!(outcome(second, false), Some(false));
        assert_eq!(outcome(second - step, false), Some(false));
        assert_eq!(
            outcome(second, true),
            Some(true),
            "its bytes have come in time"
        );
    }
}
