//! How a connection ends, and the cause that this is noted with.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use h2::Reason;
use tokio::io::AsyncWrite;

use super::{Connection, Course, Phase};
use crate::bounds::{CALLS_PER_LOOK, LINGER};
use crate::close::CloseCause;
use crate::stream::socket::Stream;

impl<S: Stream> Connection<S> {
    /// The codec is done: its GOAWAY is written and no stream is left. The connection lingers, unless the
    /// peer can have nothing under way and nothing to lose.
    ///
    /// > At this point, the client is expected to have stopped creating new streams
    /// > — RFC 9113, 6.8 <https://www.rfc-editor.org/rfc/rfc9113#section-6.8>
    ///
    /// The codec ends a drain when the peer has acknowledged the PING behind the first GOAWAY. Frames are
    /// handled in order, so a peer without a stream has read everything by then but the last GOAWAY.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, cause: CloseCause) {
        self.end_transfers();
        let is_sent = self.shut_down(cx);
        let cause = self.first_cause(cause);
        self.phase = match self.phase {
            Phase::Open(_, Course::Draining { is_idle: true, .. }) if is_sent => {
                Phase::Closed(cause)
            }
            _ => Phase::Lingering(self.shared.now() + LINGER, cause),
        };
    }

    /// True once the sending side is closed behind all output.
    pub(super) fn shut_down(&mut self, cx: &mut Context<'_>) -> bool {
        // An error shows at the next read, too.
        let result = Pin::new(&mut self.pipe.share()).poll_shutdown(cx);
        matches!(result, Poll::Ready(Ok(())))
    }

    pub(super) fn close(&mut self, cause: CloseCause) {
        self.end_transfers();
        self.phase = Phase::Closed(self.first_cause(cause));
    }

    fn end_transfers(&mut self) {
        // Of a connection that has ended there are none. Those that it had may not all be gone.
        if !self.transfers.is_empty() {
            self.left_over = Some(std::mem::take(&mut self.transfers).into_iter());
        }
    }

    /// Drops the transfers of a connection that has ended, as long as it has its share of the turn: each may wake a task
    /// of the application. True once none is left.
    pub(super) fn let_go(&mut self) -> bool {
        let mut gone = 0;
        for transfer in self.left_over.iter_mut().flatten() {
            drop(transfer);
            gone += 1;
            if gone % CALLS_PER_LOOK == 0 && self.pipe.is_slice_over() {
                return false;
            }
        }
        true
    }

    /// `cause`, unless the connection had one before.
    fn first_cause(&self, cause: CloseCause) -> CloseCause {
        match self.phase {
            Phase::Open(_, Course::Closing(first))
            | Phase::Lingering(_, first)
            | Phase::Closed(first) => first,
            Phase::Preface(_) | Phase::Open(_, Course::Serving | Course::Draining { .. }) => cause,
        }
    }

    /// The cause where the codec ends without an error.
    pub(super) fn cause_without_error(&self) -> CloseCause {
        match self.phase {
            Phase::Open(_, Course::Draining { cause, .. }) => cause,
            _ if self.transfers.is_empty() => CloseCause::PeerClosed,
            _ => CloseCause::PeerLost,
        }
    }
}

/// The cause that an error of the codec stands for.
pub(super) fn cause_of(error: &h2::Error) -> CloseCause {
    if error.is_io() || error.is_remote() {
        return CloseCause::PeerLost;
    }
    match error.reason() {
        // The codec has bounds of its own, on resets, empty frames and CONTINUATION frames.
        Some(Reason::ENHANCE_YOUR_CALM) => CloseCause::Flood,
        _ => CloseCause::ProtocolError,
    }
}

/// The same before the preface is complete: a peer that ends the stream there asked for nothing.
pub(super) fn cause_before_open(error: &h2::Error) -> CloseCause {
    match error.get_io().map(io::Error::kind) {
        Some(io::ErrorKind::UnexpectedEof) => CloseCause::PeerClosed,
        _ => cause_of(error),
    }
}
