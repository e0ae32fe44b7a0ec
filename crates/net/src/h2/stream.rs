//! `Http2Stream`: `StreamIo` on the `h2` crate's types, for requests of the client's and for
//! promised ones.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{RequestHead, Version};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};

use super::push::{Place, Promised, Pushes};
use super::respond::Respond;
use crate::service::Stage;
use crate::transfer::{ResetReason, StreamIo, head};

/// See the module's documentation.
pub(super) struct Http2Stream {
    /// The request's body; `None` if the request ended with its head.
    incoming: Option<RecvStream>,
    /// The response's body, once its head was sent.
    outgoing: Option<SendStream<Bytes>>,
    respond: Respond,
    kind: Kind,
}

enum Kind {
    /// The client made the request, and takes no promises.
    Asked,
    /// The client made the request, and takes promises.
    Pushing(Pushing),
    /// The server made the request in the client's place.
    Promised(Place),
}

/// The parts that promises on a stream are made of.
struct Pushing {
    /// The authority of the client's request.
    authority: Box<str>,
    pushes: Rc<Pushes>,
}

impl Http2Stream {
    /// The stream of a request of the client's.
    pub(super) fn asked(body: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Self {
            incoming: (!body.is_end_stream()).then_some(body),
            outgoing: None,
            respond: Respond::Asked(respond),
            kind: Kind::Asked,
        }
    }

    /// The stream of a request that was promised to the client, whose head is given back.
    pub(super) fn promised(promised: Promised) -> (Arc<RequestHead>, Self) {
        let stream = Self {
            incoming: None,
            outgoing: None,
            respond: promised.respond,
            kind: Kind::Promised(promised.place),
        };
        (promised.head, stream)
    }

    /// Lets the application make further requests in the client's place, if the client takes any.
    pub(super) fn enable_push(&mut self, head: &RequestHead, pushes: &Rc<Pushes>) {
        if !pushes.are_accepted() {
            return;
        }
        if let Some(authority) = authority_of(head) {
            let pushes = Rc::clone(pushes);
            self.kind = Kind::Pushing(Pushing { authority, pushes });
        }
    }
}

impl StreamIo for Http2Stream {
    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.incoming {
            Some(stream) => stream.poll_data(cx).map_err(broken),
            None => Poll::Ready(None),
        }
    }

    fn open_window(&mut self, taken: usize) {
        if let Some(stream) = &mut self.incoming {
            // Fails only for a stream that is closed, whose window nobody needs.
            let _ = stream.flow_control().release_capacity(taken);
        }
    }

    fn send_informational(&mut self, head: Response<()>) {
        self.respond.inform(head);
    }

    fn send_head(&mut self, head: Response<()>, ends: bool) -> io::Result<()> {
        if let Kind::Promised(place) = &self.kind {
            place.pushes().leave_first();
        }
        self.outgoing = Some(self.respond.send(head, ends).map_err(broken)?);
        Ok(())
    }

    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.outgoing else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        stream.reserve_capacity(wanted);
        loop {
            let capacity = stream.capacity();
            if capacity > 0 {
                return Poll::Ready(Ok(capacity.min(wanted)));
            }
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    fn release_capacity(&mut self) {
        if let Some(stream) = &mut self.outgoing {
            stream.reserve_capacity(0);
        }
    }

    fn send_data(&mut self, data: Bytes, ends: bool) -> io::Result<()> {
        match &mut self.outgoing {
            Some(stream) => stream.send_data(data, ends).map_err(broken),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> io::Result<()> {
        match &mut self.outgoing {
            Some(stream) => stream.send_trailers(trailers).map_err(broken),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.outgoing {
            Some(stream) => stream.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx),
        }
    }

    fn reset(&mut self, reason: ResetReason) {
        let reason = match reason {
            ResetReason::Internal => Reason::INTERNAL_ERROR,
            ResetReason::Cancelled => Reason::CANCEL,
        };
        match &mut self.outgoing {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.reset(reason),
        }
    }

    fn accepts_push(&self) -> bool {
        matches!(self.kind, Kind::Pushing(_))
    }

    fn push(&mut self, promise: &Promise) -> bool {
        let Kind::Pushing(pushing) = &self.kind else {
            return false;
        };
        let shared = pushing.pushes.shared();
        if shared.service.stage.get() != Stage::Serving {
            return false;
        }
        let Some(request) = head::promised(promise, shared.peer.scheme, &pushing.authority) else {
            return false;
        };
        let (parts, ()) = request.into_parts();
        let (Ok(head), Some(place)) = (
            head::request(Version::Http2, &parts),
            Place::take(&pushing.pushes),
        ) else {
            return false;
        };
        let request = http::Request::from_parts(parts, ());
        let Some(respond) = self.respond.promise(request) else {
            return false;
        };
        pushing.pushes.add(Promised {
            head,
            respond,
            place,
        });
        true
    }
}

fn authority_of(head: &RequestHead) -> Option<Box<str>> {
    let host = || std::str::from_utf8(head.field(b"host")?).ok();
    head.authority().or_else(host).map(Into::into)
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
