//! Two ends of a byte stream in memory, each direction bounded.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::socket::Stream;

/// One end. Dropping it ends both directions.
pub(crate) struct End {
    input: Rc<RefCell<Direction>>,
    output: Rc<RefCell<Direction>>,
    is_reset_on_close: bool,
}

struct Direction {
    bytes: BytesMut,
    room: usize,
    state: State,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Reset,
}

/// Both ends of a stream that holds `room` bytes in each direction.
pub(crate) fn pair(room: usize) -> (End, End) {
    let direction = || {
        Rc::new(RefCell::new(Direction {
            bytes: BytesMut::new(),
            room,
            state: State::Open,
            reader: None,
            writer: None,
        }))
    };
    let (there, back) = (direction(), direction());
    let end = |input, output| End {
        input: Rc::clone(input),
        output: Rc::clone(output),
        is_reset_on_close: false,
    };
    (end(&back, &there), end(&there, &back))
}

impl End {
    /// True if the other end has reset the stream.
    pub(crate) fn was_reset(&self) -> bool {
        self.input.borrow().state == State::Reset
    }

    /// Bytes that the other end has sent and this one has not read.
    pub(crate) fn unread(&self) -> usize {
        self.input.borrow().bytes.len()
    }

    /// Takes them.
    pub(crate) fn take_unread(&self) -> BytesMut {
        let mut input = self.input.borrow_mut();
        input.writer.take().into_iter().for_each(Waker::wake);
        std::mem::take(&mut input.bytes)
    }

    /// Bytes that this end has sent and the other one has not read.
    pub(crate) fn unsent(&self) -> usize {
        self.output.borrow().bytes.len()
    }

    /// The next bytes of the other end, empty at its end.
    pub(crate) async fn recv(&mut self) -> BytesMut {
        std::future::poll_fn(|cx| {
            let mut input = self.input.borrow_mut();
            if input.bytes.is_empty() && input.state == State::Open {
                input.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let bytes = std::mem::take(&mut input.bytes);
            input.writer.take().into_iter().for_each(Waker::wake);
            Poll::Ready(bytes)
        })
        .await
    }

    /// True once the other end has ended its side, or is gone.
    pub(crate) fn is_ended(&self) -> bool {
        self.input.borrow().state != State::Open
    }

    /// Ends this side; the other one may still send.
    pub(crate) fn finish(&mut self) {
        self.output.borrow_mut().end(State::Ended);
    }

    /// Sends `bytes` whole, however many there are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut output = self.output.borrow_mut();
        output.bytes.extend_from_slice(bytes);
        output.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl Direction {
    fn end(&mut self, state: State) {
        if self.state == State::Open {
            self.state = state;
        }
        let waiting = [self.reader.take(), self.writer.take()];
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let state = match self.is_reset_on_close {
            true => State::Reset,
            false => State::Ended,
        };
        self.output.borrow_mut().end(state);
        self.input.borrow_mut().end(State::Reset);
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut input = self.input.borrow_mut();
        if input.state == State::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if input.bytes.is_empty() {
            if input.state == State::Ended {
                return Poll::Ready(Ok(()));
            }
            input.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.remaining().min(input.bytes.len());
        buf.put_slice(&input.bytes[..count]);
        input.bytes.advance(count);
        input.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut output = self.output.borrow_mut();
        if output.state != State::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = output
            .room
            .saturating_sub(output.bytes.len())
            .min(bytes.len());
        if count == 0 && !bytes.is_empty() {
            output.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        output.bytes.extend_from_slice(&bytes[..count]);
        output.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.borrow_mut().end(State::Ended);
        Poll::Ready(Ok(()))
    }
}

impl Stream for End {
    fn is_hung_up(&self) -> bool {
        self.input.borrow().state != State::Open
    }

    fn is_broken(&self) -> bool {
        self.input.borrow().state == State::Reset
    }

    fn unacknowledged(&self) -> Option<usize> {
        Some(self.output.borrow().bytes.len())
    }

    fn reset_on_close(&mut self) {
        self.is_reset_on_close = true;
    }
}
