//! `Session`: TLS over a socket, behind the same traits as the socket itself. rustls keeps the state and queues sealed
//! bytes; `Session` moves bytes between rustls and the socket, and decides when.
//!
//! rustls makes messages of its own, mostly in a handshake. They leave together when there is nothing to read, or with
//! the next flush, if that comes first. One write for each would cost a system call and a wake-up of the peer: a tenth
//! of a connection for one request (`make bench`, rows `tls-handshake-…`).

mod non_blocking;

use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use rustls::server::{AcceptedAlert, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::non_blocking::NonBlocking;
use super::config::{Entry, TlsConfig};
use super::info::TlsInfo;
use crate::stream::socket::{Stream, len_of};

/// See the module's documentation. Written bytes are sealed and queued; a flush sends them.
pub(crate) struct Session<S: Stream> {
    io: S,
    /// Boxed, since it is large and moves often.
    tls: Box<ServerConnection>,
    /// rustls has made a message of its own that has not left, or its handshake goes on.
    owes: bool,
    /// close_notify is queued or has left.
    has_closed: bool,
    /// Sealed bytes in the queue, or a few more.
    queued: usize,
}

/// A handshake that has failed. An alert has told the peer, if it could be sent; a peer that does not speak TLS but
/// HTTP has got an answer in that.
pub(crate) struct Failed<S> {
    /// The socket, which the peer may still send on.
    pub(crate) io: S,
    /// The fault; `InvalidData` if it is the peer's.
    pub(crate) error: io::Error,
}

/// Shakes hands on `io`.
///
/// # Errors
/// See [`Failed`].
pub(crate) async fn accept<S: Stream>(
    mut io: S,
    config: Arc<TlsConfig>,
) -> Result<(Session<S>, Arc<TlsInfo>), Failed<S>> {
    let begun = {
        let mut hello = Hello::default();
        poll_fn(|cx| poll_begin(&mut io, cx, &mut hello, &config)).await
    };
    let (tls, entry) = match begun {
        Ok(begun) => begun,
        Err(error) => return Err(Failed { io, error }),
    };
    let mut session = Session {
        io,
        tls,
        owes: true,
        has_closed: false,
        queued: 0,
    };
    if let Err(error) = poll_fn(|cx| session.poll_shake_hands(cx)).await {
        let io = session.io;
        return Err(Failed { io, error });
    }
    session.tls.set_buffer_limit(Some(MOST_SEALED));
    let info = entry.teller.info(&session.tls);
    Ok((session, info))
}

/// The client's first message, as far as it has come.
#[derive(Default)]
struct Hello {
    acceptor: Acceptor,
    /// The first byte of the connection: 22 for a TLS handshake.
    first: Option<u8>,
}

/// The connection for the client's hello, and the certificate that it gets.
fn poll_begin<'a, S: Stream>(
    io: &mut S,
    cx: &mut Context<'_>,
    hello: &mut Hello,
    config: &'a TlsConfig,
) -> Poll<io::Result<(Box<ServerConnection>, &'a Entry)>> {
    let mut socket = NonBlocking { io, cx };
    loop {
        let Hello { acceptor, first } = &mut *hello;
        let mut noting = Noting {
            socket: &mut socket,
            first,
        };
        if ready!(or_pending(acceptor.read_tls(&mut noting)))? == 0 {
            return Poll::Ready(Err(ended()));
        }
        let accepted = match acceptor.accept() {
            Ok(Some(accepted)) => accepted,
            Ok(None) => continue,
            // A method is made of capital letters.
            Err(_) if first.is_some_and(|first| first.is_ascii_uppercase()) => {
                let _ = socket.write_all(PLAIN_HTTP);
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "plain HTTP",
                )));
            }
            Err(failure) => return Poll::Ready(Err(refuse(&mut socket, failure))),
        };
        let hello = accepted.client_hello();
        let entry = config.entry(&hello).ok_or(io::ErrorKind::InvalidInput)?;
        let settings = Arc::clone(entry.config(&hello));
        return Poll::Ready(match accepted.into_connection(settings) {
            Ok(connection) => Ok((Box::new(connection), entry)),
            Err(failure) => Err(refuse(&mut socket, failure)),
        });
    }
}

fn refuse<S: Stream>(
    socket: &mut NonBlocking<'_, '_, S>,
    (error, mut alert): (rustls::Error, AcceptedAlert),
) -> io::Error {
    // Only as far as the socket has room: the connection ends in any case.
    let _ = alert.write_all(socket);
    invalid(error)
}

impl<S: Stream> Session<S> {
    /// The ALPN protocol that both ends agreed on, if the client offered any.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    fn poll_shake_hands(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(ended()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket and opens the records; sends owed messages if there is nothing to
    /// read. Returns the number of bytes read; 0 at the stream's end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut read = self.poll_read_tls(cx);
        if read.is_pending() && self.owes {
            // Tickets too: they acknowledge the client's last message. A client that leaves Nagle's
            // algorithm on waits for that before it sends its request (40 ms).
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            if !self.tls.is_handshaking() {
                // By now the request may have arrived (rows `tls-handshake-…`, with a client on the
                // same host: 99 of 100). To read again costs less than a turn of the loop.
                self.io.assume_input();
                read = self.poll_read_tls(cx);
            }
        }
        let count = ready!(read)?;
        if count == 0 && self.owes {
            // A client that has ended its side may still read. Only as far as the socket has room.
            let _ = self.poll_send(cx);
        }
        let was_sent = !self.tls.wants_write();
        if let Err(error) = self.tls.process_new_packets() {
            // An alert has the reason. Only as far as the socket has room: the connection ends anyway.
            let _ = self.poll_send(cx);
            return Poll::Ready(Err(invalid(error)));
        }
        // A warning, such as "no renegotiation", leaves now: the next flush may be far.
        self.owes |= was_sent && self.tls.wants_write() && !self.has_closed;
        Poll::Ready(Ok(count))
    }

    fn poll_read_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let io = &mut self.io;
        or_pending(self.tls.read_tls(&mut NonBlocking { io, cx }))
    }

    /// Sends all that is queued.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let io = &mut self.io;
            let count = ready!(or_pending(self.tls.write_tls(&mut NonBlocking { io, cx })))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.queued = self.queued.saturating_sub(count);
        }
        self.queued = 0;
        self.owes = self.tls.is_handshaking();
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Stream for Session<S> {
    fn is_hung_up(&self) -> bool {
        self.io.is_hung_up()
    }

    fn is_broken(&self) -> bool {
        self.io.is_broken()
    }

    fn unacknowledged(&self) -> Option<usize> {
        Some(self.io.unacknowledged()? + self.queued)
    }

    fn room(&self) -> Option<usize> {
        Some(self.io.room()?.saturating_sub(self.queued))
    }

    fn silence(&self) -> Option<std::time::Duration> {
        self.io.silence()
    }

    fn reset_on_close(&mut self) {
        self.io.reset_on_close();
    }

    fn set_end_follows(&mut self, follows: bool) {
        self.io.set_end_follows(follows);
    }

    fn queues(&self) -> bool {
        true
    }

    fn has_input(&self) -> bool {
        // A session with unread data takes no more.
        self.io.has_input() || !self.tls.wants_read()
    }
}

impl<S: Stream> AsyncRead for Session<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        for _ in 0..MOST_FRUITLESS {
            // The caller answers the received data before the socket is read again.
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok(data) => {
                    let count = data.len().min(buf.remaining());
                    buf.put_slice(&data[..count]);
                    reader.consume(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.poll_receive(cx))?;
        }
        // Records without data come faster than they are opened: other tasks get their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> AsyncWrite for Session<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = len_of(slices);
        if self.queued > 0 && self.queued + wanted > MOST_QUEUED {
            match self.poll_send(cx) {
                Poll::Pending if self.queued >= MOST_QUEUED => return Poll::Pending,
                // The queue has room, or some bytes have left.
                Poll::Pending => {}
                Poll::Ready(result) => result?,
            }
        }
        let mut count = self.tls.writer().write_vectored(slices)?;
        if count == 0 && wanted > 0 {
            ready!(self.poll_send(cx))?;
            // The queue has room now, so a session that takes nothing has failed.
            count = self.tls.writer().write_vectored(slices)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        self.queued += count + MOST_AROUND * count.div_ceil(LONGEST_RECORD);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // rustls makes close_notify once only.
        self.tls.send_close_notify();
        self.has_closed = true;
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A socket whose first byte is noted.
struct Noting<'a, R> {
    socket: &'a mut R,
    first: &'a mut Option<u8>,
}

impl<R: Read> Read for Noting<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(bytes)?;
        if self.first.is_none() {
            *self.first = bytes[..count].first().copied();
        }
        Ok(count)
    }
}

fn or_pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the client has left")
}

/// The answer to a client that takes this port for one without TLS.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 54\r\n\
    connection: close\r\n\r\n\
    Plain HTTP was sent to a port that speaks HTTPS only.\n";
/// Reads in a row that may bring no data. The longest record takes five.
const MOST_FRUITLESS: usize = 8;
/// Data of the longest record, and the most bytes around it (RFC 5246, 6.2; RFC 5288, 3).
const LONGEST_RECORD: usize = 16 * 1024;
const MOST_AROUND: usize = 5 + 8 + 16;
/// Sealed bytes in the queue that are sent without a flush: 128 KiB of data. More would leave the
/// processor's caches before the kernel copies it: `make bench`, tls-h2-download 30 ms; 36 ms with
/// 512 KiB.
const MOST_QUEUED: usize = 8 * (LONGEST_RECORD + MOST_AROUND);
/// The bound of rustls' own queue, above this one's.
const MOST_SEALED: usize = MOST_QUEUED + 1024;
