//! `Outgoing`: a response on its way from the replies of an application to the stream, no faster
//! than the peer's windows open.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, ResponsePlan, Trailers};

use super::head;
use super::shared::Shared;
use super::stream_io::{ResetReason, StreamIo};
use crate::exchange::reply::Reply;
use crate::stream::region::FileRegion;

/// See the module's documentation.
pub(super) struct Outgoing {
    shared: Rc<Shared>,
    state: State,
    is_head_request: bool,
    /// Something of the body is with the protocol, and may wait there for the peer's window.
    has_sent_data: bool,
}

enum State {
    Head,
    Body {
        /// Bytes of the declared length that are left.
        left: Option<u64>,
    },
    /// The stream has ended with its head: HEAD, 204, 205, 304.
    Bodiless,
    Ended,
}

/// The fate of one reply.
pub(super) enum Sent {
    /// It is with the protocol.
    All,
    /// The response is complete.
    Last,
    /// The response cannot be sent, and this status was in its place.
    Refused(u16),
    /// The peer's window is shut; this is left.
    Blocked(Reply),
    /// The connection's socket takes no more for now; this is left.
    Crowded(Reply),
    /// The stream is the WebSocket protocol's now.
    Opened,
    /// The response can't be completed; the stream was reset.
    Cut,
}

/// What may be handed over of a body.
enum Allowed {
    Bytes(usize),
    /// The peer's window is shut.
    NotByPeer,
    /// The connection's socket has no room.
    NotBySocket,
    /// The stream is closed.
    Never,
}

impl Outgoing {
    pub(super) fn new(is_head_request: bool, shared: Rc<Shared>) -> Self {
        Self {
            shared,
            state: State::Head,
            is_head_request,
            has_sent_data: false,
        }
    }

    /// Sends one reply. `next` is the one behind it, if that is there already: a head depends on it.
    pub(super) fn send<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        reply: Reply,
        next: Option<&Reply>,
    ) -> Sent {
        match reply {
            Reply::Informational(head) => {
                if let State::Head = self.state
                    && let Some(head) = head::informational(&head)
                {
                    io.send_informational(head);
                }
                Sent::All
            }
            Reply::Head(head) => self.start(io, &head, next),
            Reply::Data { data, last } => self.send_data(cx, io, data, last),
            Reply::File { file, last } => self.send_file(cx, io, file, last),
            Reply::End(trailers) => self.end(io, trailers.as_ref()),
            Reply::Upgrade(head) => self.open(io, &head),
            Reply::Abort => self.cut(io, ResetReason::Internal),
            Reply::Push(_) => Sent::All, // the transfer's business
        }
    }

    /// Tells the peer to go on with its request's body: 100 (Continue).
    pub(super) fn invite<S: StreamIo>(&mut self, io: &mut S) {
        if let State::Head = self.state {
            io.send_informational(head::empty(http::StatusCode::CONTINUE));
        }
    }

    /// Promises the response to a further request, if there is a place for that. True if it was
    /// promised.
    pub(super) fn push<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        promise: &Promise,
    ) -> bool {
        let is_open = matches!(self.state, State::Head | State::Body { .. });
        // A promise would wait behind data that waits for a window.
        is_open && !self.has_sent_data && io.poll_reset(cx).is_pending() && io.push(promise)
    }

    /// Answers a request that the application does not see with a status and nothing more.
    ///
    /// # Errors
    /// When the stream is closed, or a head was sent already.
    pub(super) fn refuse<S: StreamIo>(&mut self, io: &mut S, status: u16) -> std::io::Result<()> {
        if !matches!(self.state, State::Head) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let status = http::StatusCode::from_u16(status).unwrap_or_default();
        io.send_head(head::empty(status), true)?;
        self.state = State::Ended;
        Ok(())
    }

    /// True once the response's head has ended the stream's sending side.
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.state, State::Bodiless)
    }

    /// Ready when the peer has reset the stream or the connection is gone.
    pub(super) fn poll_reset<S: StreamIo>(&mut self, cx: &mut Context<'_>, io: &mut S) -> Poll<()> {
        match self.state {
            State::Ended => Poll::Ready(()),
            // A body that is swallowed needs no peer, but the application is told.
            State::Head | State::Body { .. } | State::Bodiless => io.poll_reset(cx),
        }
    }

    /// Resets the stream.
    pub(super) fn cut<S: StreamIo>(&mut self, io: &mut S, reason: ResetReason) -> Sent {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Head | State::Body { .. } => io.reset(reason),
            State::Bodiless | State::Ended => {}
        }
        Sent::Cut
    }

    fn start<S: StreamIo>(
        &mut self,
        io: &mut S,
        head: &ResponseHead,
        next: Option<&Reply>,
    ) -> Sent {
        if !matches!(self.state, State::Head) {
            return self.cut(io, ResetReason::Internal);
        }
        let whole = match next {
            Some(Reply::Data { data, last: true }) => Some(data.len() as u64),
            Some(Reply::File { file, last: true }) => Some(file.len),
            Some(Reply::End(None)) => Some(0),
            _ => None,
        };
        let declared = head.content_length();
        let plan = ResponsePlan::of(self.is_head_request, head.status(), declared, whole);
        let length = plan.content_length();
        let ends = plan.is_bodiless || (length == Some(0) && whole == Some(0));
        let Some(response) = head::response(head, length, self.shared.date()) else {
            return match self.refuse(io, UNSENDABLE) {
                Ok(()) => Sent::Refused(UNSENDABLE),
                Err(_) => self.cut(io, ResetReason::Internal),
            };
        };
        if io.send_head(response, ends).is_err() {
            return self.cut(io, ResetReason::Internal);
        }
        self.state = match ends {
            true => State::Bodiless,
            false => State::Body { left: length },
        };
        Sent::All
    }

    fn open<S: StreamIo>(&mut self, io: &mut S, head: &ResponseHead) -> Sent {
        let is_first = matches!(self.state, State::Head);
        let sent = head::response(head, None, self.shared.date())
            .filter(|_| is_first)
            .is_some_and(|head| io.send_head(head, false).is_ok());
        if !sent {
            return self.cut(io, ResetReason::Internal);
        }
        self.state = State::Ended;
        Sent::Opened
    }

    fn send_data<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        mut data: Bytes,
        last: bool,
    ) -> Sent {
        let State::Body { left } = self.state else {
            return self.swallow(io, last);
        };
        if left
            .is_some_and(|left| (data.len() as u64) > left || (last && (data.len() as u64) < left))
        {
            return self.cut(io, ResetReason::Internal);
        }
        let whole = data.len();
        while !data.is_empty() {
            let had = whole - data.len();
            let count = match self.allowed(cx, io, data.len(), had) {
                Allowed::Bytes(count) => count,
                Allowed::NotByPeer => return Sent::Blocked(Reply::Data { data, last }),
                Allowed::NotBySocket => return Sent::Crowded(Reply::Data { data, last }),
                Allowed::Never => return self.cut(io, ResetReason::Internal),
            };
            let piece = data.split_to(count);
            if let State::Body { left: Some(left) } = &mut self.state {
                *left -= piece.len() as u64;
            }
            let ends = last && data.is_empty();
            self.has_sent_data = true;
            if io.send_data(piece, ends).is_err() {
                return self.cut(io, ResetReason::Internal);
            }
            if ends {
                return self.complete();
            }
        }
        if last { self.end(io, None) } else { Sent::All }
    }

    fn send_file<S: StreamIo>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        mut file: FileRegion,
        last: bool,
    ) -> Sent {
        if !matches!(self.state, State::Body { .. }) {
            return self.swallow(io, last);
        }
        if file.is_awaited() {
            // To reserve a window and to give it back would wake the transfer, again and again.
            return Sent::Blocked(Reply::File { file, last });
        }
        let whole = file.len;
        while file.len > 0 {
            let had = usize::try_from(whole - file.len).unwrap_or(usize::MAX);
            let wanted = usize::try_from(file.len).unwrap_or(FILE_STEP);
            // No more than may leave: it is in memory until then.
            let count = match self.allowed(cx, io, wanted.min(FILE_STEP), had) {
                Allowed::Bytes(count) => count,
                Allowed::NotByPeer => return Sent::Blocked(Reply::File { file, last }),
                Allowed::NotBySocket => return Sent::Crowded(Reply::File { file, last }),
                Allowed::Never => return self.cut(io, ResetReason::Internal),
            };
            let read = file.poll_read(cx, count);
            self.shared.room.give(count);
            let data = match read {
                Poll::Ready(Ok(data)) => data,
                Poll::Ready(Err(_)) => return self.cut(io, ResetReason::Internal),
                Poll::Pending => {
                    // A disk may take longer than the connection's other streams can wait for its window.
                    io.release_capacity();
                    return Sent::Blocked(Reply::File { file, last });
                }
            };
            let (is_blocked, data) = match self.send_data(cx, io, data, last && file.len == 0) {
                Sent::All => continue,
                // At most one step is in memory, and the rest waits behind it.
                Sent::Blocked(Reply::Data { data, .. }) => (true, data),
                Sent::Crowded(Reply::Data { data, .. }) => (false, data),
                other => return other,
            };
            file.offset -= data.len() as u64;
            file.len += data.len() as u64;
            return match is_blocked {
                true => Sent::Blocked(Reply::File { file, last }),
                false => Sent::Crowded(Reply::File { file, last }),
            };
        }
        if last { self.end(io, None) } else { Sent::All }
    }

    /// How many of `wanted` bytes may be handed over, behind those that were (`had`) since the transfer was polled.
    fn allowed<S: StreamIo>(
        &self,
        cx: &mut Context<'_>,
        io: &mut S,
        wanted: usize,
        had: usize,
    ) -> Allowed {
        let room = &self.shared.room;
        // The room comes first: the codec wakes a stream for each window that it reserves.
        let taken = match room.take(cx, wanted, had) {
            0 => return Allowed::NotBySocket,
            taken => taken,
        };
        match io.poll_capacity(cx, taken) {
            Poll::Pending => {
                room.give(taken);
                Allowed::NotByPeer
            }
            Poll::Ready(Ok(capacity)) => {
                room.give(taken - capacity.min(taken));
                Allowed::Bytes(capacity.min(taken))
            }
            Poll::Ready(Err(_)) => Allowed::Never,
        }
    }

    fn end<S: StreamIo>(&mut self, io: &mut S, trailers: Option<&Trailers>) -> Sent {
        let State::Body { left } = self.state else {
            return self.swallow(io, true);
        };
        let is_short = left.is_some_and(|left| left > 0);
        let sent = match trailers {
            _ if is_short => return self.cut(io, ResetReason::Internal),
            Some(trailers) if !trailers.is_empty() => match head::trailers(trailers) {
                Some(trailers) => io.send_trailers(trailers),
                None => return self.cut(io, ResetReason::Internal),
            },
            _ => io.send_data(Bytes::new(), true),
        };
        match sent {
            Ok(()) => self.complete(),
            Err(_) => self.cut(io, ResetReason::Internal),
        }
    }

    /// A piece of a body that does not go out.
    fn swallow<S: StreamIo>(&mut self, io: &mut S, last: bool) -> Sent {
        match self.state {
            State::Head => self.cut(io, ResetReason::Internal),
            _ if last => self.complete(),
            _ => Sent::All,
        }
    }

    fn complete(&mut self) -> Sent {
        self.state = State::Ended;
        Sent::Last
    }
}

/// The status in place of a head that the protocol has no form for.
const UNSENDABLE: u16 = 500;
/// Most bytes of one file in memory at a time.
const FILE_STEP: usize = 128 * 1024;
