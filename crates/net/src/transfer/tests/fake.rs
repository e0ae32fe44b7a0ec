//! A stream in memory: the test is the protocol and the peer behind it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use granian_proto::h2::Promise;
use http::{HeaderMap, Response};

use crate::transfer::{ResetReason, StreamIo};

/// See the module's documentation. Clones are the same stream.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Rc<RefCell<State>>);

#[derive(Default)]
pub(super) struct State {
    /// The request's body; `None` ends it.
    input: VecDeque<Option<Bytes>>,
    /// The request ended with its head.
    pub(super) is_end_stream: bool,
    /// Bytes that the window was opened for.
    pub(super) opened: usize,
    /// Bytes that the peer takes.
    pub(super) capacity: usize,
    pub(super) sent: Vec<Sent>,
    pub(super) accepts_push: bool,
    /// The peer has reset the stream.
    is_reset: bool,
    wakers: Vec<Waker>,
    is_dropped: bool,
}

/// What went out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Head {
        status: u16,
        length: Option<u64>,
        ends: bool,
    },
    Informational(u16),
    Data(Bytes),
    /// The last piece.
    End(Bytes),
    Trailers(usize),
    Reset(ResetReason),
    Push(String),
}

impl Fake {
    /// A request without a body, of a peer that takes `capacity` bytes.
    pub(super) fn bodiless(capacity: usize) -> Self {
        let fake = Self::with_body(capacity);
        fake.0.borrow_mut().is_end_stream = true;
        fake
    }

    /// A request whose body is to come.
    pub(super) fn with_body(capacity: usize) -> Self {
        let fake = Self::default();
        fake.0.borrow_mut().capacity = capacity;
        fake
    }

    /// A piece of the body comes; `None` ends it.
    pub(super) fn put(&self, piece: Option<&'static [u8]>) {
        let piece = piece.map(Bytes::from_static);
        self.change(|state| state.input.push_back(piece));
    }

    /// The peer takes `bytes` more.
    pub(super) fn open(&self, bytes: usize) {
        self.change(|state| state.capacity += bytes);
    }

    /// The peer resets the stream.
    pub(super) fn break_off(&self) {
        self.change(|state| state.is_reset = true);
    }

    /// What has gone out since this was asked.
    pub(super) fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.0.borrow_mut().sent)
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.0.borrow().is_dropped
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.0.borrow_mut();
            change(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The transfer's handle, so that its drop is seen.
pub(super) struct Handle(pub(super) Fake);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.0.borrow_mut().is_dropped = true;
    }
}

impl Handle {
    fn send(&mut self, sent: Sent) -> io::Result<()> {
        let mut state = self.0.0.borrow_mut();
        if state.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        state.sent.push(sent);
        Ok(())
    }
}

impl StreamIo for Handle {
    fn is_end_stream(&self) -> bool {
        self.0.0.borrow().is_end_stream
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = self.0.0.borrow_mut();
        if state.is_reset {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
        }
        match state.input.pop_front() {
            Some(piece) => Poll::Ready(piece.map(Ok)),
            None => {
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn open_window(&mut self, taken: usize) {
        self.0.0.borrow_mut().opened += taken;
    }

    fn send_informational(&mut self, head: Response<()>) {
        let _ = self.send(Sent::Informational(head.status().as_u16()));
    }

    fn send_head(&mut self, head: Response<()>, ends: bool) -> io::Result<()> {
        let length = head.headers().get("content-length");
        let length = length.map(|value| value.to_str().unwrap().parse().unwrap());
        let status = head.status().as_u16();
        self.send(Sent::Head {
            status,
            length,
            ends,
        })
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut state = self.0.0.borrow_mut();
        if state.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.capacity == 0 {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(state.capacity.min(wanted)))
    }

    fn release_capacity(&mut self) {}

    fn send_data(&mut self, data: Bytes, ends: bool) -> io::Result<()> {
        {
            let mut state = self.0.0.borrow_mut();
            assert!(data.len() <= state.capacity, "no more than was granted");
            state.capacity -= data.len();
        }
        self.send(match ends {
            true => Sent::End(data),
            false => Sent::Data(data),
        })
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> io::Result<()> {
        self.send(Sent::Trailers(trailers.len()))
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.0.borrow_mut();
        if state.is_reset {
            return Poll::Ready(());
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    fn reset(&mut self, reason: ResetReason) {
        self.0.0.borrow_mut().sent.push(Sent::Reset(reason));
    }

    fn accepts_push(&self) -> bool {
        self.0.0.borrow().accepts_push
    }

    fn push(&mut self, promise: &Promise) -> bool {
        let accepts = self.accepts_push();
        if accepts {
            let target = promise.target().to_owned();
            self.0.0.borrow_mut().sent.push(Sent::Push(target));
        }
        accepts
    }
}
