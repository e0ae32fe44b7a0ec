//! An application that the test plays: it takes the requests in turn and answers through their exchanges.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use granian_proto::{RequestHead, ResponseHead};

use crate::close::CloseCause;
use crate::exchange::app::{App, BodyWish, Journal, Peer, Request, Source};
use crate::exchange::record::{Interest, Record};
use crate::exchange::reply::Reply;
use crate::exchange::{BodyRead, Exchange};

/// See the module's documentation.
pub(crate) struct TestApp {
    requests: RefCell<VecDeque<Request>>,
    pub(crate) wish: Cell<BodyWish>,
    pub(crate) may_start: Cell<bool>,
    pub(crate) speaks_websocket: Cell<bool>,
    /// Makes the source that the next call gives.
    source: RefCell<Option<MakeSource>>,
    /// What each call does before it returns.
    work: RefCell<Option<Box<dyn Fn()>>>,
    /// Status, method, path and bytes of all answers, in order.
    pub(crate) answered: RefCell<Vec<(u16, String, String, u64)>>,
    /// The causes of all ends, in order.
    pub(crate) closed: RefCell<Vec<CloseCause>>,
}

type MakeSource = Box<dyn Fn(Arc<Exchange>) -> Box<dyn Source>>;

impl Default for TestApp {
    fn default() -> Self {
        Self {
            requests: RefCell::default(),
            wish: Cell::new(BodyWish::Nothing),
            may_start: Cell::new(true),
            speaks_websocket: Cell::new(false),
            source: RefCell::default(),
            work: RefCell::default(),
            answered: RefCell::default(),
            closed: RefCell::default(),
        }
    }
}

impl TestApp {
    /// The next request that the server calls the application for.
    pub(crate) async fn request(&self) -> Request {
        poll_fn(|_| match self.requests.borrow_mut().pop_front() {
            Some(request) => Poll::Ready(request),
            None => Poll::Pending,
        })
        .await
    }

    /// The next call makes the rest of its response piece by piece.
    pub(crate) fn set_source(&self, make: impl Fn(Arc<Exchange>) -> Box<dyn Source> + 'static) {
        self.source.replace(Some(Box::new(make)));
    }

    /// Each call does this before it returns.
    pub(crate) fn set_work(&self, work: impl Fn() + 'static) {
        self.work.replace(Some(Box::new(work)));
    }

    /// Requests that were started and that `request` has not given.
    pub(crate) fn calls(&self) -> usize {
        self.requests.borrow().len()
    }

    /// True if a request was started that `request` has not given.
    pub(crate) fn was_called(&self) -> bool {
        !self.requests.borrow().is_empty()
    }

    /// The cause of the only end so far, if there is one.
    pub(crate) fn cause(&self) -> Option<CloseCause> {
        let closed = self.closed.borrow();
        assert!(closed.len() < 2, "{closed:?}");
        closed.first().copied()
    }
}

/// The head of a response.
pub(crate) fn head(status: u16) -> ResponseHead {
    ResponseHead::new(status).unwrap()
}

impl Exchange {
    /// Answers with a whole response.
    pub(crate) fn answer(&self, status: u16, body: &'static [u8]) {
        self.send_whole(head(status), Bytes::from_static(body));
    }

    /// Sends a head and more, one by one.
    pub(crate) fn start(&self, status: u16) {
        self.send(Reply::Head(head(status)));
    }

    /// Sends a piece of a body.
    pub(crate) fn piece(&self, data: impl Into<Bytes>, last: bool) {
        let data = data.into();
        self.send(Reply::Data { data, last });
    }

    /// The next bytes of the request's body; `None` if the peer is gone.
    pub(crate) async fn body(&self) -> Option<(Bytes, bool)> {
        let mut taken = false;
        match poll_fn(|cx| self.poll_body(cx, &mut taken)).await {
            BodyRead::Data { data, last } => Some((data.joined(), last)),
            BodyRead::Gone | BodyRead::Unreadable(_) => None,
        }
    }
}

impl App for TestApp {
    fn may_start(&self) -> bool {
        self.may_start.get()
    }

    fn wants(&self, _: &RequestHead) -> BodyWish {
        self.wish.get()
    }

    fn speaks_websocket(&self) -> bool {
        self.speaks_websocket.get()
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        let exchange = Arc::clone(&request.exchange);
        self.requests.borrow_mut().push_back(request);
        if let Some(work) = &*self.work.borrow() {
            work();
        }
        self.source.take().map(|make| make(exchange))
    }

    fn journal(&self) -> &dyn Journal {
        self
    }
}

impl Journal for TestApp {
    fn interest(&self) -> Option<Interest> {
        Some(Interest::default())
    }

    fn answered(&self, record: &Record<'_>) {
        let method = record.head.map_or("-", |head| head.method()).to_owned();
        let path = record.head.map_or(&b"-"[..], |head| head.path());
        let path = String::from_utf8_lossy(path).into_owned();
        let answer = (record.answer.status, method, path, record.answer.sent);
        self.answered.borrow_mut().push(answer);
    }

    fn closed(&self, _: &Peer, cause: CloseCause) {
        self.closed.borrow_mut().push(cause);
    }
}
