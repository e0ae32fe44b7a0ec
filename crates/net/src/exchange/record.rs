//! `Record`: the facts of one answer, given by the application or by the server in its place.
//!
//! The journal gets a record of every answer, once its call has ended. Until then the exchange has `Notes`; both are made
//! only for a journal that reads them. A record borrows: most are read at once, and those that are kept are copied.

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
use super::request_ids::RequestId;
use super::{Exchange, Over, State};
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The connection: the client's address, the scheme.
    pub peer: &'a Arc<Peer>,
    /// The request; `None` if its head could not be read.
    pub head: Option<&'a Arc<RequestHead>>,
    /// The request's name, if it was given one.
    pub given_id: Option<&'a Arc<str>>,
    /// The answer.
    pub answer: &'a Answer,
}

/// The facts of an answer.
#[derive(Clone)]
pub struct Answer {
    /// The protocol that it was given in.
    pub version: Version,
    /// The request's head was there. As the next two times, the moment itself for an answer that the connection gave.
    since: Instant,
    /// The application was called.
    begun: Instant,
    /// The call has ended.
    pub ended: Instant,
    /// The answer's head was made.
    head_made: Option<Instant>,
    /// The final status; 0 if there was none.
    pub status: u16,
    /// Bytes of the request's body that came. For a WebSocket connection, those of its messages.
    pub received: u64,
    /// Bytes of the body that were sent. For a WebSocket connection, those of its messages.
    pub sent: u64,
    /// The answer's head, for a journal that reads its fields. Those that the server adds are not in it.
    pub response: Option<Box<ResponseHead>>,
    /// The reason of an answer that is the server's own, and of one that did not get to its client.
    pub reason: Option<Reason>,
    /// The close code of a WebSocket connection (RFC 6455, 7.4).
    pub close_code: Option<u16>,
}

/// A record that outlives its exchange.
pub struct KeptRecord {
    peer: Arc<Peer>,
    head: Option<Arc<RequestHead>>,
    given_id: Option<Arc<str>>,
    pub(crate) answer: Answer,
}

/// What a journal reads of answers, besides what costs nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Interest {
    /// The fields of their heads (`Answer::response`).
    pub responses: bool,
    /// The time to their first byte ([`Answer::first_byte`]).
    pub first_byte: bool,
}

/// The facts of an answer that is not complete.
pub(super) struct Notes {
    interest: Interest,
    answer: Answer,
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

impl<'a> Record<'a> {
    /// The request's name: the one it was given, else a valid one that it has brought along.
    pub fn request_id(&self) -> Option<&'a str> {
        let given = self.given_id.map(|id| &**id);
        given.or_else(|| {
            let head = self.head?;
            let own = head.field(b"x-request-id");
            let own = own.filter(|value| is_request_id(value));
            let own = own.and_then(|value| std::str::from_utf8(value).ok());
            own.or_else(|| head.field(b"traceparent").and_then(trace_id))
        })
    }
}

impl Answer {
    /// An answer that the connection itself gave at `now`: a refusal, without a body.
    pub(crate) fn of_refusal(
        version: Version,
        (status, error): (u16, PeerError),
        now: Instant,
    ) -> Self {
        Self {
            status,
            reason: Some(Reason::Peer(error)),
            ..Self::new(version, now, now)
        }
    }

    /// The answer to a request whose head was there at `since`, and for which the application is called at `now`.
    fn new(version: Version, since: Instant, now: Instant) -> Self {
        Self {
            version,
            since,
            begun: now,
            ended: now,
            head_made: None,
            status: 0,
            received: 0,
            sent: 0,
            response: None,
            reason: None,
            close_code: None,
        }
    }

    /// From the request's head to the call of the application.
    pub fn waited(&self) -> Duration {
        self.begun.saturating_duration_since(self.since)
    }

    /// From the call of the application to its end.
    pub fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.begun)
    }

    /// From the request's head to that of the answer; `None` without an answer of an application, and for a journal
    /// that does not read it.
    pub fn first_byte(&self) -> Option<Duration> {
        Some(self.head_made?.saturating_duration_since(self.since))
    }
}

impl KeptRecord {
    /// A copy of `record`.
    pub fn of(record: &Record<'_>) -> Self {
        Self {
            peer: Arc::clone(record.peer),
            head: record.head.map(Arc::clone),
            given_id: record.given_id.map(Arc::clone),
            answer: record.answer.clone(),
        }
    }

    /// The record.
    pub fn get(&self) -> Record<'_> {
        Record {
            peer: &self.peer,
            head: self.head.as_ref(),
            given_id: self.given_id.as_ref(),
            answer: &self.answer,
        }
    }
}

impl Notes {
    /// Of a call for the request of `origin` that begins at `now`.
    pub(super) fn new(interest: Interest, origin: &Origin, now: Instant) -> Self {
        Self {
            interest,
            answer: Answer::new(origin.head.version(), origin.since, now),
            is_bodiless: false,
        }
    }

    /// `reply` was made for a `request`. It `leaves` unless the exchange is over.
    fn note(&mut self, reply: &Reply, request: &RequestHead, leaves: bool) {
        let answer = &mut self.answer;
        match reply {
            Reply::Head(head) | Reply::Upgrade(head) => {
                answer.status = head.status();
                answer.head_made = self.interest.first_byte.then(Instant::now);
                answer.response = self.interest.responses.then(|| Box::new(head.clone()));
                let declared = head.content_length();
                self.is_bodiless =
                    ResponsePlan::of(request.is_head(), answer.status, declared, None).is_bodiless;
            }
            Reply::Data { data, .. } if leaves && !self.is_bodiless => {
                answer.sent += data.len() as u64;
            }
            Reply::File { file, .. } if leaves && !self.is_bodiless => answer.sent += file.len,
            _ => {}
        }
    }

    /// A piece of `plain` bytes leaves as so many `encoded` ones.
    pub(super) fn correct(&mut self, plain: usize, encoded: usize) {
        if !self.is_bodiless {
            self.answer.sent = self.answer.sent.saturating_sub(plain as u64) + encoded as u64;
        }
    }

    /// The head was taken back before it left.
    fn retract(&mut self) {
        self.answer.status = 0;
        self.answer.sent = 0;
        self.answer.head_made = None;
        self.answer.response = None;
    }

    /// The call has ended, and `received` bytes of the request's body have come.
    fn end(mut self, received: u64, over: Option<Over>) -> Answer {
        let answer = &mut self.answer;
        answer.ended = Instant::now();
        answer.received += received;
        match over {
            Some(Over::Refused(status) | Over::Overdue(Some(status))) => {
                answer.status = status;
                answer.sent = 0;
            }
            Some(Over::Disconnected) if answer.close_code.is_none() => {
                answer.reason.get_or_insert(Reason::Other(LEFT));
            }
            _ => {}
        }
        self.answer
    }
}

impl Exchange {
    /// The record of `answer`, which ends this exchange's call.
    pub(crate) fn record<'a>(&'a self, answer: &'a Answer) -> Record<'a> {
        let origin = self.origin();
        Record {
            peer: &origin.peer,
            head: Some(&origin.head),
            given_id: origin.id.as_ref().map(RequestId::text),
            answer,
        }
    }

    /// Takes back a head that has not left. False if it has.
    pub fn retract_head(&self) -> bool {
        let mut state = lock(&self.state);
        let lone = state.is_lone_head() && !state.is_encoding();
        if lone {
            state.replies.clear();
            state.room.retract();
            if let Some(notes) = &mut state.notes {
                notes.retract();
            }
        }
        lone
    }

    /// Notes the reason of the server's own answer; the first one counts.
    pub fn explain(&self, reason: Reason) {
        if let Some(notes) = &mut lock(&self.state).notes {
            notes.answer.reason.get_or_insert(reason);
        }
    }

    /// Notes the end of the WebSocket connection whose messages were `messages`.
    pub fn note_websocket(&self, messages: &MessageQueue) {
        if let Some(notes) = &mut lock(&self.state).notes {
            let answer = &mut notes.answer;
            answer.close_code = messages.ended().map(|ended| ended.code);
            (answer.received, answer.sent) = messages.totals();
        }
    }
}

impl State {
    /// The answer of the call, which has ended; `None` if nothing was noted, or it was given before.
    pub(super) fn end_notes(&mut self) -> Option<Answer> {
        let notes = self.notes.take()?;
        Some(notes.end(self.body.received(), self.over))
    }

    /// True if `reply`, to the request of `origin`, goes out.
    pub(super) fn note(&mut self, reply: &Reply, origin: &Origin) -> bool {
        let leaves = self.over.is_none() && !self.answered;
        if let Some(notes) = &mut self.notes
            && !self.answered
        {
            notes.note(reply, &origin.head, leaves);
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
    use crate::exchange::Windows;
    use crate::testing::{TestApp, origin};

    impl Answer {
        /// As if the call had taken so long.
        pub(crate) fn lasting(self, time: Duration) -> Self {
            let ended = self.begun + time;
            Self { ended, ..self }
        }
    }

    impl Exchange {
        /// The application is about to be called, and all is read of its answer.
        pub(crate) fn note_answer(&self) {
            let interest = Interest {
                responses: true,
                first_byte: true,
            };
            lock(&self.state).notes = Some(Notes::new(interest, &self.origin, Instant::now()));
        }

        /// The answer of the call, which has ended.
        pub(crate) fn end_answer(&self) -> Option<Answer> {
            lock(&self.state).end_notes()
        }
    }

    /// The exchange of a request whose answer is noted.
    fn exchange(method: &str) -> Arc<Exchange> {
        let origin = origin(method, b"/path?query");
        let exchange = Arc::new(Exchange::new(origin, false, Windows::even(1000)));
        exchange.note_answer();
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
        let answer = exchange.end_answer().unwrap();
        assert_eq!((answer.status, answer.received), (201, 5));
        assert!(answer.first_byte().unwrap() >= answer.waited());
        let response = answer.response.unwrap();
        assert_eq!(
            response.fields().next(),
            Some((&b"x-cache"[..], &b"hit"[..]))
        );
        assert_eq!(answer.reason.unwrap().to_string(), "first");
    }

    #[test]
    fn clients_that_left_are_the_reason() {
        let left = exchange("GET");
        left.finish(Over::Disconnected);
        let answer = left.end_answer().unwrap();
        assert_eq!(answer.reason, Some(Reason::Other(LEFT)));
        let answered = exchange("GET");
        answered.answer(200, b"");
        answered.finish(Over::Answered);
        assert_eq!(answered.end_answer().unwrap().reason, None);
    }

    #[test]
    fn a_journal_that_keeps_none_gets_none() {
        let app = TestApp::default();
        let exchange = Exchange::new(origin("GET", b"/"), false, Windows::even(1000));
        exchange.end_call(&app);
        assert!(app.answered.borrow().is_empty());
    }
}
