//! Looking at received bytes before they are taken: those behind a PROXY header belong to whoever comes next.

use std::io;
use std::os::fd::AsFd;
use std::task::Poll;

use rustix::net::{RecvFlags, recv};

use super::Io;

impl Io {
    /// Copies bytes that have come into `bytes` and leaves them in the socket; 0 if there are none and the peer has ended
    /// its side. `wait_for_more` is for a caller whom they do not suffice.
    pub(crate) fn poll_peek(&mut self, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.handle.readiness().is_readable() {
            return Poll::Pending;
        }
        match recv(self.socket.as_fd(), bytes, RecvFlags::PEEK) {
            Ok((count, _)) => Poll::Ready(Ok(count)),
            Err(errno) => {
                let error = io::Error::from(errno);
                match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.handle.readiness().clear_readable();
                        Poll::Pending
                    }
                    _ => Poll::Ready(Err(error)),
                }
            }
        }
    }

    /// After `poll_peek`: the bytes in the socket are no news any more. Further ones are, and wake the task.
    pub(crate) fn wait_for_more(&mut self) {
        self.handle.readiness().clear_readable();
    }

    /// After `poll_peek`: takes the first `count` of the bytes that it has shown.
    ///
    /// # Errors
    /// The error of the socket.
    pub(crate) fn skip(&mut self, count: usize, scratch: &mut [u8]) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let most = left.min(scratch.len());
            match recv(
                self.socket.as_fd(),
                &mut scratch[..most],
                RecvFlags::empty(),
            ) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((taken, _)) => left -= taken.min(left),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
