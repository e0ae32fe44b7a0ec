//! `Exchange`: a request and its response, shared by the connection that carries it and the
//! application that answers it, whichever threads they are on.
//!
//! The request's body comes in and replies go out, both bounded in bytes; either side learns
//! through wakers what the other one did. `app::response` keeps the order of a response.

pub mod app;
mod body;
pub(crate) mod compression;
pub mod flights;
pub mod hand_off;
pub mod messages;
#[cfg(test)]
#[cfg(feature = "model")]
mod model;
pub mod origin;
mod over;
pub mod peer;
mod permit;
mod pieces;
pub mod place;
pub mod record;
pub mod reply;
pub mod request_ids;
pub mod room;
pub mod spool;
pub mod waiters;
mod windows;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use granian_proto::ResponseHead;

use self::body::Body;
pub use self::body::BodyRead;
use self::compression::{Compression, Way};
use self::hand_off::{Diverted, HandOff};
use self::origin::Origin;
pub use self::over::Over;
use self::permit::{Awaited, CallPermit};
pub use self::pieces::Pieces;
use self::place::Progress;
use self::record::Notes;
use self::reply::Reply;
pub use self::room::Outlet;
use self::room::SendRoom;
pub(crate) use self::spool::{SPOOL_THRESHOLD, Unspooled};
pub use self::windows::Windows;
use crate::runtime::sync::Mutex;
use crate::runtime::waker::{lock, register, wake, wake_all};

/// See the module's documentation.
pub struct Exchange {
    /// Two threads can meet here: the connection's and an application's (a pool thread of WSGI,
    /// or a thread that Python code starts); both hold it for a few moves only.
    state: Mutex<State>,
    origin: Origin,
    progress: Progress,
}

struct State {
    body: Body,
    /// The application has asked for the body: `100 Continue` may go, the body may be waited for.
    wants_body: bool,
    /// The connection is told whenever the application takes something of the body.
    tells_taking: bool,
    replies: VecDeque<Reply>,
    /// Of the response, if that is to be compressed.
    compression: Option<Box<Compression>>,
    /// Of the response, if that may name a file.
    hand_off: Option<Box<HandOff>>,
    /// For replies.
    room: SendRoom,
    /// The last reply has been made.
    answered: bool,
    /// The peer has ended its side. It may still read, so replies go on; the application is told.
    left: bool,
    /// No reply goes out any more: the peer is gone, or the response has left.
    over: Option<Over>,
    /// Of the answer, if the journal reads records.
    notes: Option<Notes>,
    permit: CallPermit,
    connection: Option<Waker>,
    body_waiters: Vec<Waker>,
    over_waiters: Vec<Waker>,
}

impl Exchange {
    /// The exchange of that request, which has a body if `has_body`; each direction holds about a window of bytes before
    /// it pushes back.
    pub(crate) fn new(origin: Origin, has_body: bool, windows: Windows) -> Self {
        Self {
            state: Mutex::new(State {
                body: Body::new(has_body, windows),
                wants_body: false,
                tells_taking: false,
                replies: VecDeque::new(),
                compression: None,
                hand_off: None,
                room: SendRoom::new(windows.first),
                answered: false,
                left: false,
                over: None,
                notes: None,
                permit: CallPermit::default(),
                connection: None,
                body_waiters: Vec::new(),
                over_waiters: Vec::new(),
            }),
            origin,
            progress: Progress::default(),
        }
    }
}

/// The application's side.
impl Exchange {
    /// Sends `reply`. Dropped silently once the exchange is over.
    pub fn send(&self, mut reply: Reply) {
        if let Reply::Head(head) | Reply::Upgrade(head) = &mut reply {
            self.name(head);
        }
        let (waker, permit) = {
            let mut state = lock(&self.state);
            if state.hand_off.is_some() {
                match state.divert(reply) {
                    Diverted::Not(own) => reply = own,
                    Diverted::Dropped => return,
                    Diverted::Begun(errand) => {
                        drop(state);
                        return errand.begin();
                    }
                }
            }
            if !state.note(&reply, &self.origin) {
                return;
            }
            state.answered = reply.is_last();
            // An open WebSocket connection is no active exchange.
            let permit = match reply {
                Reply::Upgrade(_) => state.permit.take(),
                _ => None,
            };
            if state.compression.is_none() {
                state.push(reply);
            } else {
                match state.direct(reply) {
                    Way::Queue(reply) => state.push(reply),
                    Way::Kept => return,
                    Way::Encode(job, workshop) => {
                        drop(state);
                        return Self::encode(*job, &workshop);
                    }
                }
            }
            (state.connection.take(), permit)
        };
        drop(permit);
        wake(waker);
    }

    /// Sends a head and all of its body with one wake-up.
    pub fn send_whole(&self, mut head: ResponseHead, data: Bytes) {
        self.name(&mut head);
        let waker = {
            let mut state = lock(&self.state);
            let (head, data) = (Reply::Head(head), Reply::Data { data, last: true });
            if state.compression.is_some() || state.hand_off.is_some() {
                drop(state);
                self.send(head);
                return self.send(data);
            }
            if !state.note(&head, &self.origin) || !state.note(&data, &self.origin) {
                return;
            }
            state.answered = true;
            state.replies.reserve_exact(2);
            state.push(head);
            state.push(data);
            state.connection.take()
        };
        wake(waker);
    }

    /// The received bytes of the body; waits if there are none. At the body's end, and for a
    /// request without one, it gives one empty last piece, then waits for the exchange to be over.
    ///
    /// `taken` is the caller's note that it has got the last piece.
    pub fn poll_body(&self, cx: &mut Context<'_>, taken: &mut bool) -> Poll<BodyRead> {
        let (read, waker) = {
            let mut state = lock(&self.state);
            let read = state.read_body(taken);
            let mut is_first = false;
            if read.is_none() {
                // The connection may send 100 Continue.
                is_first = !std::mem::replace(&mut state.wants_body, true);
                register(&mut state.body_waiters, cx);
                // Behind the body's end the call waits for the exchange to be over.
                state.permit.set(Awaited::Body, !*taken);
            }
            (read, state.connection_for_body(is_first))
        };
        wake(waker);
        read.map_or(Poll::Pending, Poll::Ready)
    }

    /// `poll_body` without a wait; `None` where it would wait.
    pub fn try_body(&self, taken: &mut bool) -> Option<BodyRead> {
        let (read, waker) = {
            let mut state = lock(&self.state);
            let read = state.read_body(taken)?;
            (read, state.connection_for_body(false))
        };
        wake(waker);
        Some(read)
    }

    /// Ready when the exchange is over, or broken off by the peer.
    pub fn poll_over(&self, cx: &mut Context<'_>) -> Poll<Over> {
        let mut state = lock(&self.state);
        match state.over() {
            Some(over) => Poll::Ready(over),
            None => {
                register(&mut state.over_waiters, cx);
                Poll::Pending
            }
        }
    }

    /// Drops `waker`, whose wait was cancelled.
    pub fn forget(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        state.body_waiters.retain(|waiter| !waiter.will_wake(waker));
        if state.body_waiters.is_empty() {
            state.permit.set(Awaited::Body, false);
        }
        state.forget_room(waker);
        state.over_waiters.retain(|waiter| !waiter.will_wake(waker));
    }
}

/// The connection's side.
impl Exchange {
    /// Takes every reply made so far into `into`; `cx` is woken for the next one.
    ///
    /// A lone head stays, unless `head_too` or it leaves no room. Its body usually follows at once,
    /// and until the head has left it can be taken back. True if one stayed.
    pub fn poll_replies(
        &self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Reply>,
        head_too: bool,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.connection.is_none() {
            state.connection = Some(cx.waker().clone());
        }
        let is_held = !head_too && state.is_lone_head() && state.room.is_open();
        if is_held || state.is_encoding_whole() {
            return true;
        }
        if state.compression.is_some() {
            state.settle_head();
        }
        state.room.hand_over();
        if into.is_empty() {
            std::mem::swap(into, &mut state.replies);
        } else {
            into.append(&mut state.replies);
        }
        false
    }

    /// Wakes `cx` for the application's next step; takes no replies.
    pub fn watch(&self, cx: &mut Context<'_>) {
        let mut state = lock(&self.state);
        if state.connection.is_none() {
            state.connection = Some(cx.waker().clone());
        }
    }

    /// The request's body is complete.
    pub fn end_body(&self) {
        let waiters = {
            let mut state = lock(&self.state);
            if !state.body.complete() {
                return;
            }
            state.take_body_waiters()
        };
        wake_all(waiters);
    }

    /// True once the application has asked for a body that has not come.
    pub fn wants_body(&self) -> bool {
        lock(&self.state).wants_body
    }

    /// Notes that the peer has ended its sending side. The application learns of it, after a body
    /// that is still in the buffers, and may still answer.
    pub fn leave(&self) {
        let (body, overs) = {
            let mut state = lock(&self.state);
            if state.left {
                return;
            }
            state.left = true;
            let body = match state.body.is_open() {
                true => Vec::new(),
                false => std::mem::take(&mut state.body_waiters),
            };
            (body, std::mem::take(&mut state.over_waiters))
        };
        body.into_iter().chain(overs).for_each(Waker::wake);
    }

    /// Ends the exchange for the application: the peer left, or the response has left.
    pub fn finish(&self, over: Over) {
        let (body, room, overs, replies) = {
            let mut state = lock(&self.state);
            if state.over.is_some() {
                return;
            }
            state.over = Some(over);
            state.connection = None;
            state.body.break_off();
            state.permit.cut_off();
            (
                std::mem::take(&mut state.body_waiters),
                state.room.close(),
                std::mem::take(&mut state.over_waiters),
                std::mem::take(&mut state.replies),
            )
        };
        drop(replies); // outside the lock: they may own Python objects
        for waiters in [body, room, overs] {
            wake_all(waiters);
        }
    }
}

impl State {
    fn push(&mut self, reply: Reply) {
        self.room.add(reply.weight());
        self.replies.push_back(reply);
    }

    fn take_body_waiters(&mut self) -> Vec<Waker> {
        self.permit.set(Awaited::Body, false);
        std::mem::take(&mut self.body_waiters)
    }

    /// The connection, if the application's read concerns it: because `is_news`, or for the room that it has made.
    fn connection_for_body(&mut self, is_news: bool) -> Option<Waker> {
        match self.body.has_made_room() | is_news | self.tells_taking {
            true => self.connection.take(),
            false => None,
        }
    }

    fn is_lone_head(&self) -> bool {
        self.replies.len() == 1 && matches!(self.replies.front(), Some(Reply::Head(_)))
    }

    fn read_body(&mut self, taken: &mut bool) -> Option<BodyRead> {
        if *taken {
            return self.over().map(|_| BodyRead::Gone);
        }
        self.body.read(taken)
    }
}
