//! `Record`: the facts of one answer, given by the application or by the server in its place.
//!
//! The journal gets a record of every answer, once its call has ended. Records are made only for a journal that keeps
//! them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granian_proto::{
    PeerError, RequestHead, ResponseHead, ResponsePlan, Version, is_request_id, trace_id,
};

use super::messages::MessageQueue;
use super::origin::Origin;
use super::peer::Peer;
use super::reply::Reply;
use super::{Exchange, Over, State};
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Clone)]
pub struct Record {
    /// The connection: the client's address, the scheme.
    pub peer: Arc<Peer>,
    /// The request; `None` if its head could not be read.
    pub head: Option<Arc<RequestHead>>,
    /// The protocol that the answer was given in.
    pub version: Version,
    /// The request's name, if it was given one.
    pub request_id: Option<Arc<str>>,
    /// From the request's head to the call of the application; zero for an answer that the connection itself gave.
    pub waited: Duration,
    /// From the call of the application to its end; zero for an answer that the connection itself gave.
    pub duration: Duration,
    /// From the request's head to that of the answer; `None` without an answer of an application.
    pub first_byte: Option<Duration>,
    /// The final status; 0 if there was none.
    pub status: u16,
    /// Bytes of the request's body that came. For a WebSocket connection, those of its messages.
    pub received: u64,
    /// Bytes of the body that were sent. For a WebSocket connection, those of its messages.
    pub sent: u64,
    /// The answer's head, for a journal that reads its fields. Those that the server adds are not in it.
    pub response: Option<ResponseHead>,
    /// The reason of an answer that is the server's own, and of one that did not get to its client.
    pub reason: Option<Reason>,
    /// The close code of a WebSocket connection (RFC 6455, 7.4).
    pub close_code: Option<u16>,
    begun: Instant,
    since: Instant,
    keeps_response: bool,
    /// No body goes out, whatever is sent.
    is_bodiless: bool,
}

/// The reason of an answer that is the server's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// An error of the peer.
    Peer(PeerError),
    /// Anything else, in a few words.
    Other(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(error) => error.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Record {
    /// The record of an answer that the connection itself gave: a refusal, without a body. `version` is that of the
    /// connection where no head could be read.
    pub(crate) fn of_refusal(
        peer: &Arc<Peer>,
        head: Option<&RequestHead>,
        version: Version,
        (status, error): (u16, PeerError),
    ) -> Self {
        let head = head.map(|head| Arc::new(head.clone()));
        Self {
            status,
            reason: Some(Reason::Peer(error)),
            version: head.as_ref().map_or(version, |head| head.version()),
            ..Self::new(peer, head, Instant::now())
        }
    }

    /// The request's name: the one it was given, else a valid one that it has brought along.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref().or_else(|| {
            let head = self.head.as_deref()?;
            let own = head.field(b"x-request-id");
            let own = own.filter(|value| is_request_id(value));
            let own = own.and_then(|value| std::str::from_utf8(value).ok());
            own.or_else(|| head.field(b"traceparent").and_then(trace_id))
        })
    }

    fn new(peer: &Arc<Peer>, head: Option<Arc<RequestHead>>, since: Instant) -> Self {
        Self {
            peer: Arc::clone(peer),
            version: head.as_ref().map_or(Version::Http11, |head| head.version()),
            head,
            request_id: None,
            waited: Duration::ZERO,
            duration: Duration::ZERO,
            first_byte: None,
            status: 0,
            received: 0,
            sent: 0,
            response: None,
            reason: None,
            close_code: None,
            begun: since,
            since,
            keeps_response: false,
            is_bodiless: false,
        }
    }

    /// The record of a request whose application is about to be called.
    fn of(origin: &Origin, keeps_response: bool) -> Self {
        let begun = Instant::now();
        Self {
            request_id: origin.id.as_ref().map(|id| Arc::clone(id.text())),
            waited: begun.saturating_duration_since(origin.since),
            begun,
            keeps_response,
            ..Self::new(&origin.peer, Some(Arc::clone(&origin.head)), origin.since)
        }
    }

    /// `reply` was made. It `leaves` unless the exchange is over.
    fn note(&mut self, reply: &Reply, leaves: bool) {
        match reply {
            Reply::Head(head) | Reply::Upgrade(head) => {
                let request = self.head.as_ref();
                let is_head = request.is_some_and(|head| head.method() == "HEAD");
                self.status = head.status();
                self.first_byte = Some(self.since.elapsed());
                self.response = self.keeps_response.then(|| head.clone());
                self.is_bodiless =
                    ResponsePlan::of(is_head, self.status, head.content_length(), None).is_bodiless;
            }
            Reply::Data { data, .. } if leaves && !self.is_bodiless => {
                self.sent += data.len() as u64;
            }
            Reply::File { file, .. } if leaves && !self.is_bodiless => self.sent += file.len,
            _ => {}
        }
    }

    /// A piece of `plain` bytes leaves as so many `encoded` ones.
    pub(super) fn correct(&mut self, plain: usize, encoded: usize) {
        if !self.is_bodiless {
            self.sent = self.sent.saturating_sub(plain as u64) + encoded as u64;
        }
    }

    /// The head was taken back before it left.
    pub(super) fn retract(&mut self) {
        self.status = 0;
        self.sent = 0;
        self.first_byte = None;
        self.response = None;
    }

    fn end(&mut self, state: &State) {
        self.duration = self.begun.elapsed();
        self.received += state.received;
        match state.over {
            Some(Over::Refused(status) | Over::Overdue(Some(status))) => {
                self.status = status;
                self.sent = 0;
            }
            Some(Over::Disconnected) if self.close_code.is_none() => {
                self.reason.get_or_insert(Reason::Other(LEFT));
            }
            _ => {}
        }
    }
}

impl Exchange {
    /// Takes back a head that has not left. False if it has.
    pub fn retract_head(&self) -> bool {
        let mut state = lock(&self.state);
        let lone = state.is_lone_head() && !state.is_encoding();
        if lone {
            state.replies.clear();
            state.room.retract();
            if let Some(record) = &mut state.record {
                record.retract();
            }
        }
        lone
    }

    /// The application is about to be called. With `keeps_response` the answer's head is kept.
    pub(crate) fn begin_record(&self, keeps_response: bool) {
        let record = Record::of(&self.origin, keeps_response);
        lock(&self.state).record = Some(Box::new(record));
    }

    /// Notes the reason of the server's own answer; the first one counts.
    pub fn explain(&self, reason: Reason) {
        if let Some(record) = &mut lock(&self.state).record {
            record.reason.get_or_insert(reason);
        }
    }

    /// Notes the end of the WebSocket connection whose messages were `messages`.
    pub fn note_websocket(&self, messages: &MessageQueue) {
        if let Some(record) = &mut lock(&self.state).record {
            record.close_code = messages.ended().map(|ended| ended.code);
            (record.received, record.sent) = messages.totals();
        }
    }

    /// The record of the call, which has ended; `None` if none was begun, or it was given before.
    pub(crate) fn end_record(&self) -> Option<Box<Record>> {
        let mut state = lock(&self.state);
        let mut record = state.record.take()?;
        record.end(&state);
        Some(record)
    }
}

impl State {
    /// True if `reply` goes out.
    pub(super) fn notes(&mut self, reply: &Reply) -> bool {
        let leaves = self.over.is_none() && !self.answered;
        if let Some(record) = &mut self.record
            && !self.answered
        {
            record.note(reply, leaves);
        }
        leaves
    }
}

/// The reason of an answer that nobody waited for.
const LEFT: &str = "client disconnected";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use granian_proto::ResponseHead;

    use super::*;
    use crate::testing::{TestApp, origin};

    /// The exchange of a request whose record has begun.
    fn exchange(method: &str) -> Arc<Exchange> {
        let origin = origin(method, b"/path?query");
        let exchange = Arc::new(Exchange::new(origin, false, 1000));
        exchange.begin_record(true);
        exchange
    }

    /// Status and bytes of the only record that `exchange` gives.
    fn ended(exchange: &Exchange) -> (u16, u64) {
        let app = TestApp::default();
        exchange.end_call(&app);
        exchange.end_call(&app);
        let answered = app.answered.borrow();
        assert_eq!(answered.len(), 1);
        let (status, _, path, sent) = &answered[0];
        assert_eq!(path, "/path");
        (*status, *sent)
    }

    #[test]
    fn what_is_sent_is_noted() {
        let whole = exchange("GET");
        whole.answer(200, b"hello");
        assert_eq!(ended(&whole), (200, 5));
        let pieces = exchange("GET");
        pieces.start(404);
        pieces.piece(&b"one"[..], false);
        pieces.piece(&b"two"[..], true);
        pieces.piece(&b"late"[..], true);
        pieces.finish(Over::Answered);
        assert_eq!(ended(&pieces), (404, 6));
        assert_eq!(ended(&exchange("GET")), (0, 0));
    }

    #[test]
    fn bodies_that_do_not_go_out_have_no_bytes() {
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
            let exchange = exchange(method);
            exchange.answer(status, b"hello");
            assert_eq!(ended(&exchange), (status, 0));
        }
    }

    #[test]
    fn a_head_that_was_taken_back_did_not_happen() {
        let exchange = exchange("GET");
        exchange.start(205);
        assert!(exchange.retract_head());
        exchange.answer(500, b"error");
        assert_eq!(ended(&exchange), (500, 5));
    }

    #[test]
    fn the_end_counts() {
        let refused = exchange("POST");
        refused.start(200);
        refused.finish(Over::Refused(400));
        assert_eq!(ended(&refused), (400, 0));
        let left = exchange("GET");
        left.start(200);
        left.piece(&b"one"[..], false);
        left.finish(Over::Disconnected);
        left.piece(&b"two"[..], true);
        assert_eq!(ended(&left), (200, 3), "nobody got the second piece");
        let late = exchange("GET");
        late.finish(Over::Disconnected);
        let head = ResponseHead::new(503).unwrap();
        late.send_whole(head, Bytes::from_static(b"nobody"));
        assert_eq!(ended(&late), (503, 0));
    }

    #[test]
    fn times_and_fields_are_noted() {
        let exchange = exchange("POST");
        exchange.push_body(Bytes::from_static(b"12345"));
        let mut head = ResponseHead::new(201).unwrap();
        head.append(b"x-cache", b"hit").unwrap();
        exchange.send_whole(head, Bytes::new());
        exchange.explain(Reason::Other("first"));
        exchange.explain(Reason::Other("second"));
        let record = exchange.end_record().unwrap();
        assert_eq!((record.status, record.received), (201, 5));
        assert!(record.first_byte.unwrap() >= record.waited);
        let response = record.response.unwrap();
        assert_eq!(
            response.fields().next(),
            Some((&b"x-cache"[..], &b"hit"[..]))
        );
        assert_eq!(record.reason.unwrap().to_string(), "first");
    }

    #[test]
    fn clients_that_left_are_the_reason() {
        let left = exchange("GET");
        left.finish(Over::Disconnected);
        let record = left.end_record().unwrap();
        assert_eq!(record.reason, Some(Reason::Other(LEFT)));
        let answered = exchange("GET");
        answered.answer(200, b"");
        answered.finish(Over::Answered);
        assert_eq!(answered.end_record().unwrap().reason, None);
    }

    #[test]
    fn a_journal_that_keeps_none_gets_none() {
        let app = TestApp::default();
        app.keeps_records.set(false);
        let exchange = exchange("GET");
        exchange.end_call(&app);
        assert!(app.answered.borrow().is_empty());
    }
}
