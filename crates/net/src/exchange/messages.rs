//! `MessageQueue`: the messages of one open WebSocket connection, shared by the connection that
//! carries it and the application that speaks through it, whichever threads they are on.
//!
//! Messages come in and go out, both bounded in bytes; either side learns through wakers what the
//! other one did. It exists from the handshake's request on, so that an application learns of a
//! peer that leaves before the answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use granian_proto::ws::{Handshake, code};

use crate::budget::Loan;
use crate::exchange::reply::ALLOCATION;
use crate::exchange::room::{HasRoom, SendRoom};
use crate::runtime::waker::{lock, register, wake, wake_all};

/// A request to open a connection, as handed to the application.
#[derive(Clone)]
pub struct Opening {
    /// The checked handshake of the client.
    pub handshake: Arc<Handshake>,
    /// The messages of both directions.
    pub messages: Arc<MessageQueue>,
}

/// A whole message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Valid UTF-8, if `is_text`.
    pub data: Bytes,
    /// A text message; binary otherwise (RFC 6455, 5.6).
    pub is_text: bool,
}

impl Message {
    fn weight(&self) -> usize {
        self.data.len() + MESSAGE_WEIGHT
    }
}

/// How a connection ended for its application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The close code (RFC 6455, 7.4).
    pub code: u16,
    /// Valid UTF-8.
    pub reason: Bytes,
    /// Which side began it.
    pub by: EndedBy,
}

/// The side that ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// The application itself.
    Application,
    /// The peer, by a Close frame.
    Peer,
    /// The server, because it stops or nothing happens.
    Server,
    /// Nobody: the peer is gone, or broke the protocol.
    Loss,
}

/// The fate of a sent message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is queued, and the application has no message to read: it should leave now.
    Queued,
    /// It is queued, and messages wait to be read: more may be sent in a moment.
    MoreAhead,
    /// The connection has ended; it was dropped.
    Ended,
}

/// See the module's documentation.
pub struct MessageQueue {
    /// Two threads can meet here: the connection's and one that Python code starts; both hold it
    /// for a few moves only.
    state: Mutex<State>,
    /// Bytes of messages that wait to be read before the connection stops reading.
    queue: usize,
}

struct State {
    /// With the loans of those that were inflated.
    incoming: VecDeque<(Message, Option<Loan>)>,
    incoming_bytes: usize,
    /// The connection waits for room.
    is_full: bool,
    /// The application has taken a message and not asked for another one.
    is_busy: bool,
    /// The connection waits for the application to have dealt with what came.
    is_ending: bool,
    outgoing: VecDeque<Message>,
    /// For outgoing messages.
    room: SendRoom,
    /// The application closes, behind what it sent.
    closes: bool,
    ended: Option<Ended>,
    /// Bytes of all messages so far.
    received: u64,
    sent: u64,
    connection: Option<Waker>,
    receivers: Vec<Waker>,
}

impl MessageQueue {
    /// A connection that holds about `queue` bytes towards the application and `window` bytes
    /// towards the peer.
    pub fn new(queue: usize, window: usize) -> Self {
        Self {
            state: Mutex::new(State {
                incoming: VecDeque::new(),
                incoming_bytes: 0,
                is_full: false,
                is_busy: false,
                is_ending: false,
                outgoing: VecDeque::new(),
                room: SendRoom::new(window),
                closes: false,
                ended: None,
                received: 0,
                sent: 0,
                connection: None,
                receivers: Vec::new(),
            }),
            queue,
        }
    }
}

/// The application's side.
impl MessageQueue {
    /// Sends `message`.
    pub fn send(&self, message: Message) -> Sent {
        let (waker, sent) = {
            let mut state = lock(&self.state);
            if state.ended.is_some() {
                return Sent::Ended;
            }
            state.room.add(message.weight());
            state.sent += message.data.len() as u64;
            state.outgoing.push_back(message);
            let sent = if state.incoming.is_empty() || !state.room.is_open() {
                Sent::Queued
            } else {
                Sent::MoreAhead
            };
            (state.connection.take(), sent)
        };
        wake(waker);
        sent
    }

    /// Closes the connection behind what was sent; what was not read is dropped. `code` must be
    /// sendable. Nothing if it has ended.
    pub fn close(&self, code: u16, reason: Bytes) {
        let (wakers, dropped) = {
            let mut state = lock(&self.state);
            if state.ended.is_some() {
                return;
            }
            state.closes = true;
            state.ended = Some(Ended {
                code,
                reason,
                by: EndedBy::Application,
            });
            state.incoming_bytes = 0;
            let dropped = std::mem::take(&mut state.incoming);
            (state.take_wakers(), dropped)
        };
        drop(dropped); // outside the lock
        wake_all(wakers);
    }

    /// The next message, or how the connection ended; waits for either.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Message, Ended>> {
        let (received, waker) = {
            let mut state = lock(&self.state);
            let Some(received) = state.receive() else {
                register(&mut state.receivers, cx);
                state.is_busy = false;
                let waker = state.is_ending.then(|| state.connection.take()).flatten();
                drop(state);
                wake(waker);
                return Poll::Pending;
            };
            (received, self.waker_for_room(&mut state))
        };
        wake(waker);
        Poll::Ready(received)
    }

    /// Like `poll_receive`, without waiting; `None` where that would wait.
    pub fn try_receive(&self) -> Option<Result<Message, Ended>> {
        let (received, waker) = {
            let mut state = lock(&self.state);
            let received = state.receive()?;
            (received, self.waker_for_room(&mut state))
        };
        wake(waker);
        Some(received)
    }

    /// Drops `waker`, whose wait was cancelled.
    pub fn forget(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        state.receivers.retain(|waiter| !waiter.will_wake(waker));
        state.room.forget(waker);
    }

    /// How the connection ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        lock(&self.state).ended.clone()
    }

    /// Bytes of the messages that came, and of those that were sent.
    pub fn totals(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.received, state.sent)
    }

    /// A connection that waits for room reads on once half of it is there.
    fn waker_for_room(&self, state: &mut State) -> Option<Waker> {
        let reads_on = state.is_full && state.incoming_bytes <= self.queue / 2;
        if !reads_on {
            return None;
        }
        state.is_full = false;
        state.connection.take()
    }
}

/// The connection's side.
impl MessageQueue {
    /// Every message sent so far, and the close that goes behind them; `cx` is woken for more.
    pub fn poll_outgoing(&self, cx: &mut Context<'_>) -> (VecDeque<Message>, Option<(u16, Bytes)>) {
        let mut state = lock(&self.state);
        if state.connection.is_none() {
            state.connection = Some(cx.waker().clone());
        }
        state.room.hand_over();
        let closes = std::mem::take(&mut state.closes);
        let ended = state.ended.as_ref().filter(|_| closes);
        let close = ended.map(|ended| (ended.code, ended.reason.clone()));
        (std::mem::take(&mut state.outgoing), close)
    }

    /// Wakes `cx` for what the application does next; takes no messages.
    pub fn watch(&self, cx: &mut Context<'_>) {
        let mut state = lock(&self.state);
        if state.connection.is_none() {
            state.connection = Some(cx.waker().clone());
        }
    }

    /// `unsent` bytes wait for the socket.
    pub fn set_unsent(&self, unsent: usize) {
        let waiters = lock(&self.state).room.set_unsent(unsent);
        wake_all(waiters);
    }

    /// Ready while messages may come in. If not, the connection is woken when they may.
    pub fn poll_incoming_room(&self) -> Poll<()> {
        let mut state = lock(&self.state);
        state.is_full = state.ended.is_none() && state.incoming_bytes >= self.queue;
        match state.is_full {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Ready once the application has dealt with every message: it has read them all, and waits for
    /// another one. If not, the connection is woken when that is so.
    pub fn poll_settled(&self) -> Poll<()> {
        let mut state = lock(&self.state);
        state.is_ending = state.ended.is_none() && (state.is_busy || !state.incoming.is_empty());
        match state.is_ending {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// A message has come; `loan` is for its bytes, if it was inflated. True while more may.
    pub(crate) fn push(&self, message: Message, loan: Option<Loan>) -> bool {
        let (waiters, has_room) = {
            let mut state = lock(&self.state);
            if state.ended.is_some() {
                return true;
            }
            state.incoming_bytes += message.weight();
            state.received += message.data.len() as u64;
            state.incoming.push_back((message, loan));
            let has_room = state.incoming_bytes < self.queue;
            (std::mem::take(&mut state.receivers), has_room)
        };
        wake_all(waiters);
        has_room
    }

    /// The connection has ended; what came before can still be read.
    pub fn finish(&self, ended: Ended) {
        let (wakers, dropped) = {
            let mut state = lock(&self.state);
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(ended);
            let dropped = std::mem::take(&mut state.outgoing);
            (state.take_wakers(), dropped)
        };
        drop(dropped); // outside the lock: they may own Python objects
        wake_all(wakers);
    }

    /// The peer is gone.
    pub fn lose(&self) {
        self.finish(Ended {
            code: code::ABNORMAL,
            reason: Bytes::new(),
            by: EndedBy::Loss,
        });
    }
}

impl HasRoom for MessageQueue {
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.state).room.poll_open(cx)
    }

    fn has_room(&self) -> bool {
        lock(&self.state).room.is_open()
    }

    fn forget(&self, waker: &Waker) {
        lock(&self.state).room.forget(waker);
    }
}

impl State {
    fn receive(&mut self) -> Option<Result<Message, Ended>> {
        match self.incoming.pop_front() {
            Some((message, _)) => {
                self.incoming_bytes -= message.weight();
                self.is_busy = true;
                if self.incoming.is_empty() {
                    // An idle connection keeps no buffers.
                    self.incoming = VecDeque::new();
                }
                Some(Ok(message))
            }
            None => self.ended.clone().map(Err),
        }
    }

    /// Every waker, at the end of the connection.
    fn take_wakers(&mut self) -> Vec<Waker> {
        let mut wakers = std::mem::take(&mut self.receivers);
        wakers.append(&mut self.room.close());
        wakers.extend(self.connection.take());
        wakers
    }
}

/// Bytes that a message counts for beside its content: its place in a queue that may be half empty, and the overhead
/// of an allocation.
const MESSAGE_WEIGHT: usize = 2 * size_of::<(Message, Option<Loan>)>() + ALLOCATION;
