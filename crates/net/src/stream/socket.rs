//! `Io`: one accepted socket, TCP or Unix, behind tokio's traits, so that TLS and protocol
//! libraries fit on top. The task's handle tells readiness, edge-triggered.

mod peek;

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bounds::READ_SIZE;
use crate::runtime::reactor::TaskHandle;

/// A byte stream that a connection runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The peer has ended its sending side or is gone, whether or not it was read to its end.
    fn is_hung_up(&self) -> bool;

    /// The connection was reset or has failed: nothing goes either way any more.
    fn is_broken(&self) -> bool;

    /// Sends up to `len` bytes of `file` from `offset`. Returns the number sent, 0 at the end of
    /// the file.
    ///
    /// # Errors
    /// `Unsupported` if the stream can only send bytes from memory.
    fn poll_send_file(
        &mut self,
        _cx: &mut Context<'_>,
        _file: &File,
        _offset: u64,
        _len: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// The socket, if written bytes go out on it unchanged.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// True if written bytes are queued until the next flush, in records that should be full.
    fn queues(&self) -> bool {
        false
    }

    /// Written bytes that the peer has not acknowledged, if the system can tell.
    fn unacknowledged(&self) -> Option<usize> {
        None
    }

    /// How many bytes may be written before the stream is full, if the system can tell.
    fn room(&self) -> Option<usize> {
        None
    }

    /// The time since the last bytes of the peer came, if the system can tell.
    fn silence(&self) -> Option<Duration> {
        None
    }

    /// Makes the coming close a reset, so that the peer cannot take it for a proper end.
    fn reset_on_close(&mut self);

    /// If `follows`, a shutdown follows the bytes written from now on in the same turn, and both
    /// may leave in one segment. A close alone would drop the bytes if unread input has come (RFC
    /// 2525, 2.17).
    fn set_end_follows(&mut self, _follows: bool) {}

    /// Makes the next read ask the socket, whatever the last news of the poller.
    fn assume_input(&mut self) {}

    /// True if the stream may have unread bytes.
    fn has_input(&self) -> bool {
        true
    }
}

/// A socket watched by the reactor of the task that owns it.
pub(crate) struct Io {
    socket: Socket,
    /// The poller reports room to write. It does so only after a write has found none: most
    /// connections never need it, and each report costs a turn of the event loop.
    awaits_room: bool,
    /// Written bytes wait for the shutdown that follows.
    end_follows: bool,
    /// The close is to be a reset.
    is_cut: bool,
    handle: TaskHandle,
}

/// The kinds of socket a listener can accept.
pub(crate) enum Socket {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A stream socket of the Unix domain.
    Unix(UnixStream),
}

impl Io {
    /// Watches `socket` on behalf of the task behind `handle`.
    ///
    /// # Errors
    /// When the poller refuses one more descriptor.
    pub(crate) fn new(mut socket: Socket, handle: &TaskHandle) -> io::Result<Self> {
        handle.watch(socket.source())?;
        handle.readiness().assume_writable();
        Ok(Self {
            socket,
            awaits_room: false,
            end_follows: false,
            is_cut: false,
            handle: handle.clone(),
        })
    }

    fn try_write(
        &mut self,
        mut write: impl FnMut(&mut Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if !self.handle.readiness().is_writable() {
            return Poll::Pending;
        }
        loop {
            match write(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.handle.readiness().clear_writable();
                    return match self.await_room() {
                        Ok(()) => Poll::Pending,
                        Err(error) => Poll::Ready(Err(error)),
                    };
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Makes the poller report room to write as well; at once, if there is some.
    fn await_room(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.awaits_room, true) {
            return Ok(());
        }
        self.handle.watch_for_room(self.socket.source())
    }
}

impl Drop for Io {
    /// Ends the connection although a forked child of the application may hold the socket:
    /// otherwise the peer would not learn of the close, and the poller would go on reporting the
    /// socket.
    fn drop(&mut self) {
        if self.handle.may_be_shared() && self.handle.reactor().is_own() {
            if !self.is_cut {
                // Fails for a socket that is shut down or broken.
                let _ = self.socket.shut_down(Shutdown::Both);
            }
            self.handle.unwatch(self.socket.source());
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.handle.readiness().is_readable() {
            return Poll::Pending;
        }
        let wanted = buf.remaining();
        // SAFETY: nothing is de-initialized; what the kernel has filled is declared below.
        let room = unsafe { buf.unfilled_mut() };
        let result = match recv(self.socket.as_fd(), room, RecvFlags::empty()) {
            Ok(((filled, _), _)) => Ok(filled.len()),
            Err(errno) => Err(io::Error::from(errno)),
        };
        match result {
            Ok(count) => {
                // A short read has emptied the socket; what comes later, an end included, is a
                // new edge (epoll(7), "Do I need to continuously read").
                if count > 0 && count < wanted && !self.handle.readiness().is_hung_up() {
                    self.handle.readiness().clear_readable();
                }
                // SAFETY: the kernel has filled `count` bytes from the start of the unfilled part.
                unsafe { buf.assume_init(count) };
                buf.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.handle.readiness().clear_readable();
                Poll::Pending
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end_follows = self.end_follows;
        self.try_write(|socket| match socket {
            Socket::Tcp(stream) if end_follows => write_held(stream, &[IoSlice::new(bytes)]),
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let end_follows = self.end_follows;
        self.try_write(|socket| match socket {
            Socket::Tcp(stream) if end_follows => write_held(stream, slices),
            Socket::Tcp(stream) => stream.write_vectored(slices),
            Socket::Unix(stream) => stream.write_vectored(slices),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shut_down(Shutdown::Write))
    }
}

impl Stream for Io {
    fn is_hung_up(&self) -> bool {
        self.handle.readiness().is_hung_up()
    }

    fn is_broken(&self) -> bool {
        self.handle.readiness().is_broken()
    }

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        _: &mut Context<'_>,
        file: &File,
        offset: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        self.try_write(|socket| {
            let mut offset = offset;
            Ok(rustix::fs::sendfile(
                socket.as_fd(),
                file,
                Some(&mut offset),
                len,
            )?)
        })
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    #[cfg(target_os = "linux")]
    fn unacknowledged(&self) -> Option<usize> {
        use std::os::fd::AsRawFd;
        let mut held: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the request writes one integer where it is told to.
        let result = unsafe {
            libc::ioctl(
                self.socket.as_fd().as_raw_fd(),
                libc::TIOCOUTQ,
                &raw mut held,
            )
        };
        (result == 0).then(|| usize::try_from(held).ok()).flatten()
    }

    fn room(&self) -> Option<usize> {
        super::room::room_of(self.socket.as_fd())
    }

    #[cfg(target_os = "linux")]
    fn silence(&self) -> Option<Duration> {
        super::silence::silence_of(self.socket.as_fd())
    }

    fn reset_on_close(&mut self) {
        self.is_cut = true;
        let linger = Some(Duration::ZERO);
        // An error is ignored: a socket that refuses the option is broken already.
        let _ = rustix::net::sockopt::set_socket_linger(self.socket.as_fd(), linger);
    }

    fn set_end_follows(&mut self, follows: bool) {
        self.end_follows = follows;
    }

    fn assume_input(&mut self) {
        self.handle.readiness().assume_readable();
    }

    fn has_input(&self) -> bool {
        self.handle.readiness().is_readable()
    }
}

/// Reads once, a read buffer's worth at most, and appends to `buf`. Returns 0 at the stream's end.
pub(crate) fn poll_read_buf<S: AsyncRead + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    if buf.capacity() - buf.len() < READ_SIZE / 4 {
        buf.reserve(READ_SIZE);
    }
    let mut unfilled = ReadBuf::uninit(buf.spare_capacity_mut());
    ready!(Pin::new(io).poll_read(cx, &mut unfilled))?;
    let count = unfilled.filled().len();
    // SAFETY: `filled` bytes of the spare capacity are initialized, says ReadBuf's contract.
    unsafe { buf.advance_mut(count) };
    Poll::Ready(Ok(count))
}

/// Writes bytes that the kernel may hold back for the shutdown that follows. That saves a segment
/// and a wake-up of the peer (wrk with `connection: close`, CPU of a connection: 8 % plain, 1 %
/// with TLS).
#[cfg(target_os = "linux")]
fn write_held(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    Ok(sendmsg(
        stream,
        slices,
        &mut SendAncillaryBuffer::default(),
        flags,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn write_held(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(slices)
}

/// Bytes in all of `slices`.
pub(crate) fn len_of(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

impl Socket {
    fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
