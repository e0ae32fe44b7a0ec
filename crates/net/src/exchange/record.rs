//! `Record`: the facts of one answer, given by the application or by the server in its place.
//!
//! The journal gets a record of every answer, once its call has ended. Records are made only for a journal that keeps
//! them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granian_proto::{RequestHead, ResponsePlan, Version};

use super::peer::Peer;
use super::reply::Reply;
use super::{Exchange, Over, State};
use crate::runtime::waker::lock;

/// See the module's documentation.
pub struct Record {
    /// The connection: the client's address, the scheme.
    pub peer: Arc<Peer>,
    /// The request; `None` if its head could not be read.
    pub head: Option<RequestHead>,
    /// The protocol that the answer was given in.
    pub version: Version,
    /// From the call of the application to its end; zero for an answer that the connection itself gave.
    pub duration: Duration,
    /// The final status; 0 if there was none.
    pub status: u16,
    /// Bytes of the body that were sent.
    pub sent: u64,
    begun: Instant,
    /// No body goes out, whatever is sent.
    is_bodiless: bool,
}

impl Record {
    /// The record of an answer that the connection itself gave: a refusal, without a body. `version` is that of the
    /// connection where no head could be read.
    pub(crate) fn of_refusal(
        peer: &Arc<Peer>,
        head: Option<&RequestHead>,
        version: Version,
        status: u16,
    ) -> Self {
        Self {
            status,
            ..Self::new(peer, head, version)
        }
    }

    fn new(peer: &Arc<Peer>, head: Option<&RequestHead>, version: Version) -> Self {
        Self {
            peer: Arc::clone(peer),
            head: head.cloned(),
            version: head.map_or(version, RequestHead::version),
            duration: Duration::ZERO,
            status: 0,
            sent: 0,
            begun: Instant::now(),
            is_bodiless: false,
        }
    }

    /// `reply` was made. It `leaves` unless the exchange is over.
    fn note(&mut self, reply: &Reply, leaves: bool) {
        match reply {
            Reply::Head(head) | Reply::Upgrade(head) => {
                let request = self.head.as_ref();
                let is_head = request.is_some_and(|head| head.method() == "HEAD");
                self.status = head.status();
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
    }

    fn end(&mut self, over: Option<Over>) {
        self.duration = self.begun.elapsed();
        if let Some(Over::Refused(status) | Over::Overdue(Some(status))) = over {
            self.status = status;
            self.sent = 0;
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

    /// The application is about to be called with the request of `head`, which came from `peer`.
    pub(crate) fn begin_record(&self, peer: &Arc<Peer>, head: &RequestHead) {
        let record = Box::new(Record::new(peer, Some(head), head.version()));
        lock(&self.state).record = Some(record);
    }

    /// The record of the call, which has ended; `None` if none was begun, or it was given before.
    pub(super) fn end_record(&self) -> Option<Box<Record>> {
        let (record, over) = {
            let mut state = lock(&self.state);
            (state.record.take(), state.over)
        };
        record.map(|mut record| {
            record.end(over);
            record
        })
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use granian_proto::{RequestHeadBuilder, ResponseHead};

    use super::*;
    use crate::testing::{TestApp, peer};

    /// The exchange of a request whose record has begun.
    fn exchange(method: &str) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::new(false, 1000));
        let head = RequestHeadBuilder::new(Version::Http11, method, b"/path?query").build();
        exchange.begin_record(&peer(), &head);
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
    fn a_journal_that_keeps_none_gets_none() {
        let app = TestApp::default();
        app.keeps_records.set(false);
        let exchange = exchange("GET");
        exchange.end_call(&app);
        assert!(app.answered.borrow().is_empty());
    }
}
