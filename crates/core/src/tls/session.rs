//! `Session`: a TLS stream over a socket, behind the same traits as the socket itself, with a queue
//! of its own for what is sealed and not sent, and what a handshake found out (`TlsInfo`).

use std::any::Any;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{self, Holder};
use super::config::TlsConfig;
use super::flight::Flight;
use crate::net::io::{Stream, len_of};

/// See the module's documentation. What is written is sealed and queued; a flush sends it.
pub(crate) struct Session<S: Stream> {
    tls: TlsStream<Flight<S>>,
    /// About how many bytes are in the queue. The session has its own bound, in sealed bytes.
    queued: usize,
}

/// What an application may learn of the TLS session under a request.
pub(crate) struct TlsInfo {
    /// As on the wire: 0x0304 is TLS 1.3.
    pub(crate) version: Option<u16>,
    pub(crate) cipher_suite: Option<u16>,
    /// IANA's name of it.
    pub(crate) cipher_name: Option<&'static str>,
    server: Arc<str>,
    /// The client's certificate first; empty if it gave none.
    clients: Vec<CertificateDer<'static>>,
    /// What the interface keeps for the connection's life.
    pub(crate) memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl TlsInfo {
    /// The version as OpenSSL names it.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.version {
            Some(0x0304) => "TLSv1.3",
            _ => "TLSv1.2",
        }
    }

    /// The server's certificate, PEM.
    pub(crate) fn server_certificate(&self) -> &str {
        &self.server
    }

    /// The client's chain, PEM each.
    pub(crate) fn client_chain(&self) -> Vec<String> {
        self.clients.iter().map(certificate::pem).collect()
    }

    /// Whom the client's certificate is for.
    pub(crate) fn client(&self) -> Option<Holder> {
        self.clients.first().and_then(Holder::of)
    }
}

/// Shakes hands on `io`.
///
/// # Errors
/// Whatever keeps the two ends from agreeing; the peer was told as far as possible.
pub(crate) async fn accept<S: Stream>(
    io: S,
    config: Arc<TlsConfig>,
) -> io::Result<(Session<S>, TlsInfo)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), Flight::new(io)).await?;
    let hello = start.client_hello();
    let entry = config.entry(&hello).ok_or(io::ErrorKind::InvalidInput)?;
    let config = Arc::clone(entry.config(&hello));
    let mut stream = start.into_stream(config).await?;
    let (flight, connection) = stream.get_mut();
    flight.end_handshake();
    connection.set_buffer_limit(Some(MOST_SEALED));
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| suite.suite());
    let info = TlsInfo {
        version: connection.protocol_version().map(|version| match version {
            ProtocolVersion::TLSv1_3 => 0x0304,
            _ => 0x0303,
        }),
        cipher_suite: suite.map(u16::from),
        cipher_name: suite
            .and_then(|suite| suite.as_str())
            .map(|name| name.strip_prefix("TLS13_").map_or(name, tls13_name)),
        server: Arc::clone(&entry.pem),
        clients: connection
            .peer_certificates()
            .map(|chain| chain.iter().map(|each| each.clone().into_owned()).collect())
            .unwrap_or_default(),
        memo: OnceLock::new(),
    };
    let session = Session {
        tls: stream,
        queued: 0,
    };
    Ok((session, info))
}

impl<S: Stream> Session<S> {
    fn note_sent(&mut self, all: bool) {
        let written = self.tls.get_mut().0.take_written();
        self.queued = match all {
            true => 0,
            false => self.queued.saturating_sub(written),
        };
    }

    /// The protocol that both ends agreed on, if the client asked for any.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.tls.get_ref().1.alpn_protocol()
    }
}

/// rustls marks what belongs to TLS 1.3 in its names of suites; IANA does not.
fn tls13_name(rest: &str) -> &'static str {
    match rest {
        "AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        _ => "",
    }
}

impl<S: Stream> Stream for Session<S> {
    fn is_hung_up(&self) -> bool {
        self.tls.get_ref().0.io.is_hung_up()
    }

    fn is_broken(&self) -> bool {
        self.tls.get_ref().0.io.is_broken()
    }

    fn unacknowledged(&self) -> Option<usize> {
        let held = self.tls.get_ref().0.io.unacknowledged()?;
        Some(held + self.queued)
    }

    fn reset_on_close(&mut self) {
        self.tls.get_mut().0.io.reset_on_close();
    }

    fn set_end_follows(&mut self, follows: bool) {
        self.tls.get_mut().0.io.set_end_follows(follows);
    }

    fn queues(&self) -> bool {
        true
    }

    fn has_input(&self) -> bool {
        // A session that holds data which was not read wants no more.
        let (flight, connection) = self.tls.get_ref();
        flight.io.has_input() || !connection.wants_read()
    }
}

impl<S: Stream> AsyncRead for Session<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // One record at a time: what was read is to be answered before the socket is asked for more,
        // which sends what a handshake has left (`Flight`).
        let data = ready!(Pin::new(&mut self.tls).poll_fill_buf(cx))?;
        let count = data.len().min(buf.remaining());
        buf.put_slice(&data[..count]);
        Pin::new(&mut self.tls).consume(count);
        Poll::Ready(Ok(()))
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
            match self.as_mut().poll_flush(cx) {
                Poll::Pending if self.queued >= MOST_QUEUED => return Poll::Pending,
                // Some of it has left, which makes room.
                Poll::Pending => {}
                Poll::Ready(result) => result?,
            }
        }
        loop {
            let count = self.tls.get_mut().1.writer().write_vectored(slices)?;
            if count > 0 || wanted == 0 {
                self.queued += count;
                return Poll::Ready(Ok(count));
            }
            ready!(self.as_mut().poll_flush(cx))?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.tls).poll_flush(cx);
        self.note_sent(result.is_ready());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.tls).poll_shutdown(cx);
        self.note_sent(result.is_ready());
        result
    }
}

/// Bytes in the queue before they are sent without a flush. More would leave the processor's caches
/// before the kernel copies it: `make bench`, tls-h2-download 30 ms with 128 KiB, 36 with 512.
const MOST_QUEUED: usize = 128 * 1024;
/// The same sealed, in full records.
const MOST_SEALED: usize = MOST_QUEUED + 1024;
