//! `Outgoing`: a response on its way from the replies of an application to the codec, no faster
//! than the peer's windows open.

use std::task::{Context, Poll};

use bytes::Bytes;
use granian_proto::{ResponseHead, ResponsePlan, Trailers};
use h2::{Reason, SendStream};
use http::Request;

use super::head;
use super::respond::Respond;
use crate::exchange::reply::Reply;
use crate::stream::region::{FileRegion, read_region};

/// See the module's documentation.
pub(super) struct Outgoing {
    respond: Respond,
    state: State,
    is_head_request: bool,
    /// Something of the body is with the codec, and may wait there for the peer's window.
    has_sent_data: bool,
}

enum State {
    Head,
    Body {
        stream: SendStream<Bytes>,
        /// What is left of the declared length.
        left: Option<u64>,
    },
    /// The stream has ended with its head: HEAD, 204, 205, 304.
    Bodiless(SendStream<Bytes>),
    Ended,
}

/// What became of one reply.
pub(super) enum Sent {
    /// It is with the codec.
    All,
    /// The response is complete.
    Last,
    /// The peer's window is shut; this is left.
    Blocked(Reply),
    /// The stream is the WebSocket protocol's now.
    Opened(SendStream<Bytes>),
    /// The response can't be completed; the stream was reset.
    Cut,
}

impl Outgoing {
    pub(super) fn new(respond: Respond, is_head_request: bool) -> Self {
        Self {
            respond,
            state: State::Head,
            is_head_request,
            has_sent_data: false,
        }
    }

    /// Sends one reply; `next` is the one behind it, if that is there already.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        reply: Reply,
        next: Option<&Reply>,
        date: &[u8; 29],
    ) -> Sent {
        match reply {
            Reply::Informational(head) => {
                if let State::Head = self.state {
                    self.respond.inform(head::informational(&head));
                }
                Sent::All
            }
            Reply::Head(head) => self.start(&head, next, date),
            Reply::Data { data, last } => self.send_data(cx, data, last),
            Reply::File { file, last } => self.send_file(cx, file, last),
            Reply::End(trailers) => self.end(trailers.as_ref()),
            Reply::Upgrade(head) => self.open(&head, date),
            Reply::Abort => self.cut(Reason::INTERNAL_ERROR),
            Reply::Push(_) => Sent::All, // the transfer's business
        }
    }

    /// Promises the response to a further request. `None` where there is no place for that.
    pub(super) fn promise(
        &mut self,
        cx: &mut Context<'_>,
        request: Request<()>,
    ) -> Option<Respond> {
        let is_open = matches!(self.state, State::Head | State::Body { .. });
        // Behind data that waits for a window the promise would wait, too.
        if !is_open || self.has_sent_data || self.poll_reset(cx).is_ready() {
            return None;
        }
        self.respond.promise(request)
    }

    /// Ready when the peer has reset the stream or the connection is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.state {
            State::Head => return self.respond.poll_reset(cx),
            State::Body { stream, .. } => stream.poll_reset(cx),
            // What is swallowed needs no peer, but the application is told.
            State::Bodiless(stream) => stream.poll_reset(cx),
            State::Ended => return Poll::Ready(()),
        };
        reset.map(|_| ())
    }

    /// Resets the stream.
    pub(super) fn cut(&mut self, reason: Reason) -> Sent {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Head => self.respond.reset(reason),
            State::Body { mut stream, .. } => stream.send_reset(reason),
            State::Bodiless(_) | State::Ended => {}
        }
        Sent::Cut
    }

    fn start(&mut self, head: &ResponseHead, next: Option<&Reply>, date: &[u8; 29]) -> Sent {
        if !matches!(self.state, State::Head) {
            return self.cut(Reason::INTERNAL_ERROR);
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
        let response = head::response(head, length, date);
        match self.respond.send(response, ends) {
            Some(stream) if ends => self.state = State::Bodiless(stream),
            Some(stream) => {
                self.state = State::Body {
                    stream,
                    left: length,
                };
            }
            None => return self.cut(Reason::INTERNAL_ERROR),
        }
        Sent::All
    }

    fn open(&mut self, head: &ResponseHead, date: &[u8; 29]) -> Sent {
        if !matches!(self.state, State::Head) {
            return self.cut(Reason::INTERNAL_ERROR);
        }
        match self.respond.send(head::response(head, None, date), false) {
            Some(stream) => {
                self.state = State::Ended;
                Sent::Opened(stream)
            }
            None => self.cut(Reason::INTERNAL_ERROR),
        }
    }

    fn send_data(&mut self, cx: &mut Context<'_>, mut data: Bytes, last: bool) -> Sent {
        let State::Body { stream, left } = &mut self.state else {
            return self.swallow(last);
        };
        if left
            .is_some_and(|left| (data.len() as u64) > left || (last && (data.len() as u64) < left))
        {
            return self.cut(Reason::INTERNAL_ERROR);
        }
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let mut capacity = stream.capacity();
            if capacity == 0 {
                capacity = match stream.poll_capacity(cx) {
                    Poll::Pending => return Sent::Blocked(Reply::Data { data, last }),
                    Poll::Ready(Some(Ok(capacity))) => capacity,
                    Poll::Ready(_) => return self.cut(Reason::INTERNAL_ERROR),
                };
            }
            let piece = data.split_to(capacity.min(data.len()));
            if let Some(left) = left {
                *left -= piece.len() as u64;
            }
            let ends = last && data.is_empty();
            self.has_sent_data = true;
            if stream.send_data(piece, ends).is_err() {
                return self.cut(Reason::INTERNAL_ERROR);
            }
            if ends {
                return self.complete();
            }
        }
        if last { self.end(None) } else { Sent::All }
    }

    fn send_file(&mut self, cx: &mut Context<'_>, mut file: FileRegion, last: bool) -> Sent {
        if !matches!(self.state, State::Body { .. }) {
            return self.swallow(last);
        }
        while file.len > 0 {
            let step = usize::try_from(file.len)
                .unwrap_or(FILE_STEP)
                .min(FILE_STEP);
            if !self.has_capacity(cx, step) {
                return Sent::Blocked(Reply::File { file, last });
            }
            let Ok(data) = read_region(&mut file, step) else {
                return self.cut(Reason::INTERNAL_ERROR);
            };
            match self.send_data(cx, data, last && file.len == 0) {
                Sent::All => {}
                // At most one step is in memory, and the rest waits behind it.
                Sent::Blocked(Reply::Data { data, .. }) => {
                    file.offset -= data.len() as u64;
                    file.len += data.len() as u64;
                    return Sent::Blocked(Reply::File { file, last });
                }
                other => return other,
            }
        }
        if last { self.end(None) } else { Sent::All }
    }

    fn has_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> bool {
        let State::Body { stream, .. } = &mut self.state else {
            return true;
        };
        stream.reserve_capacity(wanted);
        stream.capacity() > 0 || stream.poll_capacity(cx).is_ready()
    }

    fn end(&mut self, trailers: Option<&Trailers>) -> Sent {
        let State::Body { stream, left } = &mut self.state else {
            return self.swallow(true);
        };
        let is_short = left.is_some_and(|left| left > 0);
        let sent = match trailers {
            _ if is_short => return self.cut(Reason::INTERNAL_ERROR),
            Some(trailers) if !trailers.is_empty() => {
                stream.send_trailers(head::trailers(trailers))
            }
            _ => stream.send_data(Bytes::new(), true),
        };
        match sent {
            Ok(()) => self.complete(),
            Err(_) => self.cut(Reason::INTERNAL_ERROR),
        }
    }

    /// A piece of a body that does not go out.
    fn swallow(&mut self, last: bool) -> Sent {
        match self.state {
            State::Head => self.cut(Reason::INTERNAL_ERROR),
            _ if last => self.complete(),
            _ => Sent::All,
        }
    }

    fn complete(&mut self) -> Sent {
        self.state = State::Ended;
        Sent::Last
    }
}

/// Most bytes of one file in memory at a time.
const FILE_STEP: usize = 128 * 1024;
