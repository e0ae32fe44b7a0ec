//! `App`: the application as a connection sees it, the `Request` that it gets, and the `Journal` that is told of
//! answers and ends.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use granian_proto::RequestHead;

use crate::admission::queue::Permit;
use crate::close::{CloseCause, Limit};
use crate::exchange::messages::Opening;
pub use crate::exchange::peer::{Address, Peer};
use crate::exchange::record::{Interest, Notes, Record};
use crate::exchange::{Exchange, State};
use crate::runtime::waker::{lock, wake};
pub use crate::tls::info::TlsInfo;

/// An application behind one of the interfaces.
pub trait App {
    /// True when a request may be started now; otherwise the connection asks again next turn.
    fn may_start(&self) -> bool;

    /// How much of this request's body must have come before `call`. Asked once for each request that has one.
    fn wants(&self, _head: &RequestHead) -> BodyWish {
        BodyWish::Nothing
    }

    /// True if this request waits for no place among the active ones: its answer costs next to nothing. Asked of those
    /// that would wait.
    fn skips_queue(&self, _head: &RequestHead) -> bool {
        false
    }

    /// True if requests may be for a WebSocket connection.
    fn speaks_websocket(&self) -> bool {
        false
    }

    /// Starts one request. Replies made before this returns leave in the same write; a source is
    /// asked for more of them whenever the stream has taken those before.
    fn call(&self, request: Request) -> Option<Box<dyn Source>>;

    /// True if this turn should go on for as long as more requests come: they are begun together at its end.
    fn gathers(&self) -> bool {
        false
    }

    /// The turn in which requests were started or sources asked has ended.
    fn end_turn(&self) {}

    /// The journal of this application's connections.
    fn journal(&self) -> &dyn Journal;
}

/// Takes note of answers and of the ends of connections.
pub trait Journal {
    /// What `answered` reads of records, which cost time to make; `None` if nothing. It does not change.
    fn interest(&self) -> Option<Interest> {
        None
    }

    /// A request was answered, by the application or by the server.
    fn answered(&self, _record: &Record<'_>) {}

    /// A request's body could not be kept in a temporary file of this folder.
    fn unspooled(&self, _folder: &Path, _error: &io::Error) {}

    /// A response has named this file, in `x-sendfile` or `x-accel-redirect`, and there is no such file to send.
    fn unsent(&self, _name: &str) {}

    /// A client and this server could not agree on a TLS session.
    fn handshake_failed(&self, _peer: &Peer, _error: &io::Error) {}

    /// A connection was refused because of the PROXY protocol, at most once a minute.
    fn proxy_refused(&self, _peer: &Peer, _reason: &str) {}

    /// A connection has ended.
    fn closed(&self, _peer: &Peer, _cause: CloseCause) {}

    /// A request or a connection of this peer has reached a limit.
    fn limited(&self, _peer: &Peer, _limit: Limit) {}

    /// Connections wait to be accepted, because of this error.
    fn accept_failed(&self, _error: &io::Error) {}
}

/// The rest of a response that is made on the connection's thread, as fast as the peer reads.
pub trait Source {
    /// False while it cannot make any: the connection is woken when that changes.
    fn is_ready(&self) -> bool {
        true
    }

    /// Makes the next replies. False if there are no more.
    fn pull(&mut self) -> bool;
}

/// How much of a request's body must have come before the application is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyWish {
    /// None of it: the application reads it as it comes.
    Nothing,
    /// All of it where its length is declared and less than the exchange holds (`Limits::window`), or not declared and
    /// no more than a megabyte comes; none where the peer waits to be asked for it.
    Small,
    /// All of it, at any length; it waits in a temporary file where it is large.
    Whole,
}

impl BodyWish {
    /// True if a body of this length, where one is declared, is waited for to its end. `expects_continue`: the peer
    /// sends it only when asked.
    pub(crate) fn is_waiting(
        self,
        length: Option<u64>,
        window: usize,
        expects_continue: bool,
    ) -> bool {
        match self {
            Self::Nothing => false,
            Self::Small => !expects_continue && length.is_none_or(|length| length < window as u64),
            Self::Whole => true,
        }
    }
}

/// One request, as handed to the application, on any thread.
pub struct Request {
    /// Its head and its body, and the queue of its replies.
    pub exchange: Arc<Exchange>,
    /// The request is for a WebSocket connection.
    pub websocket: Option<Opening>,
    /// The peer takes the responses to further requests with this one's.
    pub accepts_push: bool,
}

impl Request {
    /// The request line and the fields.
    pub fn head(&self) -> &RequestHead {
        &self.exchange.origin().head
    }

    /// The connection that it came on.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.exchange.origin().peer
    }

    /// See [`Origin::prefix`].
    ///
    /// [`Origin::prefix`]: crate::exchange::origin::Origin::prefix
    pub fn prefix(&self) -> Option<&str> {
        self.exchange.origin().prefix.as_deref()
    }
}

impl Exchange {
    /// Wakes the connection, whose source has become ready.
    pub(crate) fn wake_connection(&self) {
        let waker = lock(&self.state).connection.take();
        wake(waker);
    }

    /// The application is about to be called, by this permit. A journal that reads records is told of the answer to a
    /// call that begins at this time.
    pub(crate) fn begin_call(&self, permit: Permit, journal: Option<(Interest, Instant)>) {
        let mut state = lock(&self.state);
        state.permit.begin(permit);
        if let Some((interest, now)) = journal {
            state.notes = Some(Notes::new(interest, &self.origin, now));
        }
    }

    /// The call has ended, with or without an answer: its permit is the next one's, the record goes to the `journal`.
    /// Once per exchange.
    pub fn end_call(&self, journal: &dyn Journal) {
        self.unlist();
        let (waker, answer) = {
            let mut state = lock(&self.state);
            state.give_back_permit();
            // An answer that waits for a file or for the client is entered by the connection.
            let waker = match state.over {
                None => state.connection.take(),
                Some(_) => None,
            };
            let answer = match state.puts_off_end() {
                false => state.end_notes(),
                true => None,
            };
            (waker, answer)
        };
        wake(waker);
        if let Some(answer) = answer {
            journal.answered(&self.record(&answer));
        }
    }
}

impl State {
    /// True if the record has to wait for a thread that makes the rest of the response.
    fn puts_off_end(&mut self) -> bool {
        self.notes.is_some() && self.over.is_none() && (self.awaits_file() || self.awaits_encoder())
    }
}

/// An application may answer on a thread of its own.
const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Request>();
};
