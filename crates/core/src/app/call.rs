//! `Call`: one call of the application for one exchange, from its start to its outcome. Interfaces
//! send through it; it keeps the order, and answers for an application that does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::ws::code;
use granian_proto::{ResponseHead, Trailers, retry_after};
use pyo3::exceptions::{PyBrokenPipeError, PyRuntimeError};
use pyo3::prelude::*;

use super::calls::Calls;
use super::closed::is_protocol_closed;
use super::file_opening::FileOpening;
use super::forked;
use super::response::{OrderError, Progress, Response};
use granian_net::exchange::app::Request;
use granian_net::exchange::hand_off::is_handed_off;
use granian_net::exchange::messages::Opening;
use granian_net::exchange::record::Reason;
use granian_net::exchange::reply::Reply;
use granian_net::exchange::{BodyRead, Exchange, Over};
use granian_net::runtime::waker::lock;
use granian_net::stream::region::FileRegion;

/// See the module's documentation.
pub(crate) struct Call {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) calls: Arc<Calls>,
    /// The WebSocket connection to open, if the request is for one.
    pub(crate) websocket: Option<Opening>,
    /// The application may send from any thread, the loop's thread ends the call.
    pub(super) response: Mutex<Response>,
    /// The file that a thread opens meets the end of the call here.
    pub(super) opening: Mutex<FileOpening<Outcome>>,
    /// Set with the response, read by itself.
    upgraded: AtomicBool,
    /// The request's body was read to its end.
    body_taken: Mutex<bool>,
    key: usize,
}

/// How an application's call ended.
pub(crate) enum Outcome {
    Returned,
    Raised(PyErr),
    /// Cancelled from outside, or dropped with its loop.
    Cancelled,
}

impl Call {
    /// The call for `request`, counted in with `calls`.
    pub(crate) fn new(request: &Request, calls: Arc<Calls>) -> Arc<Self> {
        Arc::new(Self {
            exchange: Arc::clone(&request.exchange),
            websocket: request.websocket.clone(),
            response: Mutex::new(Response::new(request.head().method())),
            opening: Mutex::default(),
            upgraded: AtomicBool::new(false),
            body_taken: Mutex::new(false),
            key: calls.enter(&request.exchange),
            calls,
        })
    }

    /// The child of a fork ends where it would answer in its parent's place.
    fn check_home(&self) {
        if self.calls.home.is_left() {
            Python::attach(|py| forked::leave(py, None));
        }
    }

    /// Sends the final head.
    pub(crate) fn start(&self, head: ResponseHead) -> Result<(), OrderError> {
        self.check_home();
        let head = self.admitted(head);
        let reply = lock(&self.response).start(head)?;
        self.exchange.send(reply);
        Ok(())
    }

    /// `head`, which announces no length where it names a file: that is the file's, and the application's body, which
    /// goes nowhere, need not have it. It has the number of its route.
    fn admitted(&self, mut head: ResponseHead) -> ResponseHead {
        head.set_route(self.calls.route(self.key));
        if self.calls.hands_off && is_handed_off(&head) {
            head.forget_content_length();
        }
        head
    }

    /// Trailer fields will end the response, not its last piece.
    pub(crate) fn expect_trailers(&self) {
        lock(&self.response).expect_trailers();
    }

    /// Sends the trailer fields that were announced, once there are no `more`.
    pub(crate) fn trailers(&self, trailers: Trailers, more: bool) -> Result<(), OrderError> {
        let reply = lock(&self.response).trailers(trailers, more)?;
        if let Some(reply) = reply {
            self.exchange.send(reply);
        }
        Ok(())
    }

    /// Keeps trailer fields for the end of a body that the application ends by returning.
    pub(crate) fn add_trailers(&self, trailers: &Trailers) -> Result<(), OrderError> {
        lock(&self.response).add_trailers(trailers)
    }

    /// Sends the head that opens the WebSocket connection.
    pub(crate) fn upgrade(&self, mut head: ResponseHead) -> Result<(), OrderError> {
        head.set_route(self.calls.route(self.key));
        self.check_home();
        let reply = lock(&self.response).upgrade(head)?;
        self.upgraded.store(true, Ordering::Release);
        self.exchange.send(reply);
        Ok(())
    }

    /// Whether the WebSocket connection was opened.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// Sends the head of a body that the application ends by returning.
    pub(crate) fn stream(&self, head: ResponseHead) -> Result<(), OrderError> {
        self.check_home();
        // Python code may run in there: not under the lock.
        let head = self.admitted(head);
        let mut response = lock(&self.response);
        let reply = response.start(head)?;
        response.end_on_return();
        drop(response);
        self.exchange.send(reply);
        Ok(())
    }

    /// Sends an informational head.
    pub(crate) fn inform(&self, head: ResponseHead) -> Result<(), OrderError> {
        self.check_home();
        let reply = lock(&self.response).inform(head)?;
        self.exchange.send(reply);
        Ok(())
    }

    /// Makes a further request in the client's place.
    pub(crate) fn push(&self, promise: Promise) -> Result<(), OrderError> {
        let reply = lock(&self.response).push(promise)?;
        self.exchange.send(reply);
        Ok(())
    }

    /// Sends a piece of the body; the `last` one ends the response.
    pub(crate) fn data(&self, data: Bytes, last: bool) -> Result<(), OrderError> {
        let last = lock(&self.response).advance(data.len() as u64, last)?;
        if last || !data.is_empty() {
            self.exchange.send(Reply::Data { data, last });
        }
        Ok(())
    }

    /// Counts a piece of the body that is sent later, or never.
    pub(crate) fn count(&self, len: usize) -> Result<(), OrderError> {
        lock(&self.response).advance(len as u64, false).map(drop)
    }

    /// Sends a whole response.
    pub(crate) fn whole(&self, head: ResponseHead, data: Bytes) -> Result<(), OrderError> {
        self.check_home();
        let head = self.admitted(head);
        let mut response = lock(&self.response);
        let reply = response.start(head)?;
        if let Err(error) = response.advance(data.len() as u64, true) {
            response.retract();
            return Err(error);
        }
        drop(response);
        if let Reply::Head(head) = reply {
            self.exchange.send_whole(head, data);
        }
        Ok(())
    }

    /// Sends a region of a file as a piece of the body; the `last` one ends the response.
    pub(crate) fn file(&self, file: FileRegion, last: bool) -> Result<(), OrderError> {
        let last = lock(&self.response).advance(file.len, last)?;
        self.exchange.send(Reply::File { file, last });
        Ok(())
    }

    /// Ends the response.
    pub(crate) fn end(&self) -> Result<(), OrderError> {
        let reply = lock(&self.response).end()?;
        self.exchange.send(reply);
        Ok(())
    }

    /// A whole response without fields of the application's.
    pub(crate) fn plain(&self, status: u16, body: &'static str) {
        if let Ok(mut head) = ResponseHead::new(status) {
            if let Some(seconds) = retry_after(status) {
                // The field is a valid one.
                let _ = head.append(b"retry-after", seconds.as_bytes());
            }
            // Out of order only if the response was made meanwhile, which is just as well.
            let _ = self.whole(head, Bytes::from_static(body.as_bytes()));
        }
    }

    /// A plain response in place of a head that has not left; cuts the connection if it has.
    pub(crate) fn replace_head(&self, status: u16, body: &'static str) {
        if self.exchange.retract_head() {
            lock(&self.response).retract();
            self.plain(status, body);
        } else {
            self.exchange.send(Reply::Abort);
        }
    }

    /// The received bytes of the request's body; see `Exchange::poll_body`.
    pub(crate) fn poll_body(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<BodyRead> {
        self.exchange.poll_body(cx, &mut lock(&self.body_taken))
    }

    /// The same without waiting.
    pub(crate) fn try_body(&self) -> Option<BodyRead> {
        self.exchange.try_body(&mut lock(&self.body_taken))
    }

    /// Lets the request's body be read from where it is, though its end was seen.
    pub(crate) fn rewind_body(&self) {
        *lock(&self.body_taken) = false;
    }

    /// How much of the response was made so far.
    pub(crate) fn progress(&self) -> Progress {
        lock(&self.response).progress()
    }

    /// True once a head has been sent that no body follows: HEAD, 204, 205, 304.
    pub(crate) fn is_bodiless(&self) -> bool {
        lock(&self.response).is_bodiless()
    }

    /// Its place among the calls in flight.
    pub(crate) fn key(&self) -> usize {
        self.key
    }

    /// The call goes on as `task`.
    pub(crate) fn keep(&self, task: Py<PyAny>) {
        self.calls.keep(self.key, task);
    }

    /// Ends the call: an incomplete response becomes a 500 or a cut connection, an exception goes
    /// to the log, the request to the access log. Once per call.
    pub(crate) fn finish(&self, py: Python<'_>, outcome: Outcome) {
        if self.calls.home.is_left() {
            let error = match outcome {
                Outcome::Raised(error) => Some(error),
                Outcome::Returned | Outcome::Cancelled => None,
            };
            return forked::leave(py, error);
        }
        let Some(outcome) = lock(&self.opening).keep(outcome) else {
            return;
        };
        if matches!(outcome, Outcome::Returned) && lock(&self.response).ends_on_return() {
            // A body shorter than declared is not whole; that is seen below.
            let _ = self.end();
        }
        if let Some(opening) = &self.websocket {
            self.finish_websocket(opening, &outcome);
        }
        let progress = self.progress();
        if progress != Progress::Whole {
            self.explain(&outcome);
        }
        // An exception speaks for itself, and to a peer that left no answer is owed.
        let is_owed = progress != Progress::Whole
            && matches!(outcome, Outcome::Returned)
            && self.exchange.over().is_none();
        let mut error = match outcome {
            Outcome::Returned | Outcome::Cancelled => None,
            // Its answer was whole with the head, and so it was told to stop.
            Outcome::Raised(error) if self.is_bodiless() && is_protocol_closed(py, &error) => None,
            // `write` has told it that nobody reads any more.
            Outcome::Raised(error)
                if error.is_instance_of::<PyBrokenPipeError>(py) && self.is_abandoned() =>
            {
                None
            }
            Outcome::Raised(error) => Some(error),
        };
        if progress != Progress::Whole {
            self.answer_for_app(progress);
            if is_owed {
                error = Some(PyRuntimeError::new_err(
                    "Application returned without completing its response",
                ));
            }
        }
        if let Some(error) = error {
            self.calls.report(py, error);
        }
        self.exchange.end_call(&*self.calls);
        self.calls.leave(py, self.key);
    }

    /// Notes why the answer is not the application's. That the client has left is noted without.
    fn explain(&self, outcome: &Outcome) {
        let is_stopping = self.calls.is_cancelling();
        if self.exchange.over().is_none() || is_stopping {
            self.exchange.explain(Reason::Other(match outcome {
                Outcome::Cancelled if is_stopping => "server is stopping",
                Outcome::Cancelled => "call was cancelled",
                Outcome::Raised(_) => "application raised an exception",
                Outcome::Returned => "application returned without a whole answer",
            }));
        }
    }

    /// Closes what is open. An application that returns without an answer turns the peer away.
    fn finish_websocket(&self, opening: &Opening, outcome: &Outcome) {
        self.close_websocket(opening, outcome);
        if self.is_upgraded() {
            self.exchange.note_websocket(&opening.messages);
        }
    }

    fn close_websocket(&self, opening: &Opening, outcome: &Outcome) {
        if self.is_upgraded() {
            let code = match outcome {
                Outcome::Returned => code::NORMAL,
                Outcome::Raised(_) => code::INTERNAL_ERROR,
                Outcome::Cancelled => code::GOING_AWAY,
            };
            opening.messages.close(code, Bytes::new());
        } else if matches!(outcome, Outcome::Returned) && self.progress() == Progress::Nothing {
            self.plain(403, "");
        }
    }

    /// True if nobody reads the response any more, and it was not whole.
    pub(crate) fn is_abandoned(&self) -> bool {
        let over = self.exchange.over();
        over.is_some_and(|over| !matches!(over, Over::Answered))
    }

    fn answer_for_app(&self, progress: Progress) {
        match progress {
            Progress::Nothing => self.plain(500, "Internal server error"),
            Progress::HeadOnly => self.replace_head(500, "Internal server error"),
            Progress::Partial | Progress::Whole => self.exchange.send(Reply::Abort),
        }
    }
}
