//! `HandOff`: a response whose body the application leaves to the server, by naming a file in the field
//! `x-sendfile` or `x-accel-redirect`. The application's replies go no further; a thread sends the file in their place.

use std::sync::{Arc, Weak};

use granian_proto::ResponseHead;

use super::app::Request;
use super::reply::Reply;
use super::{Exchange, State};
use crate::runtime::waker::{lock, thread_token};
pub(crate) use crate::stream::reading::Lane;

/// See the module's documentation.
pub(super) struct HandOff {
    stage: Stage,
    sender: Arc<dyn FileSender>,
    /// The call has ended, and its record waits for the file.
    has_ended: bool,
    /// That of the application's head.
    route: u16,
}

enum Stage {
    /// The head has not come.
    Watching(Weak<Exchange>),
    /// The response is the application's own.
    Passing,
    /// A thread is to send the file.
    Begun,
    /// The thread of this token sends the file.
    Sending(usize),
    /// The file is on its way; what the application sends is dropped.
    Sent,
}

/// Sends the files that applications name.
pub(crate) trait FileSender: Send + Sync {
    /// The threads for the file that a response of this head names.
    fn lane(&self, head: &ResponseHead) -> Lane;

    /// Answers in place of the file, for which too many wait.
    fn refuse(&self, errand: &Errand);

    /// Answers with the file, on a thread that may wait for a disk.
    fn send(&self, errand: &Errand);

    /// The file is on its way, and the call has ended before.
    fn end_late(&self, exchange: Arc<Exchange>);
}

/// A file to send.
pub(crate) struct Errand {
    pub(crate) request: Request,
    /// The application's head.
    pub(crate) head: ResponseHead,
    sender: Arc<dyn FileSender>,
}

/// The way of a reply.
pub(super) enum Diverted {
    Not(Reply),
    Dropped,
    Begun(Box<Errand>),
}

/// True for the fields that name a file.
pub(crate) fn names_file(name: &[u8]) -> bool {
    matches!(name, b"x-sendfile" | b"x-accel-redirect")
}

/// True for the head of a response whose body is the file that a field of it names, where that is an option.
pub fn is_handed_off(head: &ResponseHead) -> bool {
    matches!(head.status(), 200 | 206) && head.fields().any(|(name, _)| names_file(name))
}

impl State {
    /// Finds the way of `reply`.
    pub(super) fn divert(&mut self, reply: Reply) -> Diverted {
        let Some(hand_off) = &mut self.hand_off else {
            return Diverted::Not(reply);
        };
        match (&hand_off.stage, reply) {
            (Stage::Watching(_), Reply::Head(head)) => hand_off.watch(head),
            (Stage::Sending(thread), mut reply) if *thread == thread_token() => {
                if let Reply::Head(head) = &mut reply {
                    head.set_route(hand_off.route);
                }
                Diverted::Not(reply)
            }
            (Stage::Begun | Stage::Sending(_) | Stage::Sent, _) => Diverted::Dropped,
            (Stage::Watching(_) | Stage::Passing, reply) => Diverted::Not(reply),
        }
    }

    /// True if the record of a call that has ended has to wait for its file.
    pub(super) fn awaits_file(&mut self) -> bool {
        let Some(hand_off) = &mut self.hand_off else {
            return false;
        };
        hand_off.has_ended = matches!(hand_off.stage, Stage::Begun | Stage::Sending(_));
        hand_off.has_ended
    }
}

impl HandOff {
    fn watch(&mut self, head: ResponseHead) -> Diverted {
        let is_handed_off = is_handed_off(&head);
        self.route = head.route();
        let stage = match is_handed_off {
            true => Stage::Begun,
            false => Stage::Passing,
        };
        let Stage::Watching(exchange) = std::mem::replace(&mut self.stage, stage) else {
            return Diverted::Not(Reply::Head(head));
        };
        let Some(exchange) = exchange.upgrade().filter(|_| is_handed_off) else {
            self.stage = Stage::Passing;
            return Diverted::Not(Reply::Head(head));
        };
        Diverted::Begun(Box::new(Errand {
            request: Request {
                exchange,
                websocket: None,
                accepts_push: false,
            },
            head,
            sender: Arc::clone(&self.sender),
        }))
    }
}

impl Errand {
    /// Has a thread send the file.
    pub(super) fn begin(self) {
        let lane = self.sender.lane(&self.head);
        match lane.is_full() {
            true => self.answer(|sender, errand| sender.refuse(errand)),
            false => lane.run(Box::new(move || {
                self.answer(|sender, errand| sender.send(errand));
            })),
        }
    }

    fn answer(&self, answer: impl FnOnce(&dyn FileSender, &Self)) {
        let exchange = &self.request.exchange;
        exchange.set_stage(Stage::Sending(thread_token()));
        answer(&*self.sender, self);
        if exchange.set_stage(Stage::Sent) {
            self.sender.end_late(Arc::clone(exchange));
        }
    }
}

impl Exchange {
    /// Watches for a file that the application names. Before it is called.
    pub(crate) fn begin_hand_off(self: &Arc<Self>, sender: &Arc<dyn FileSender>) {
        let hand_off = HandOff {
            stage: Stage::Watching(Arc::downgrade(self)),
            sender: Arc::clone(sender),
            has_ended: false,
            route: 0,
        };
        lock(&self.state).hand_off = Some(Box::new(hand_off));
    }

    /// True if the call has ended.
    fn set_stage(&self, stage: Stage) -> bool {
        let mut state = lock(&self.state);
        let Some(hand_off) = &mut state.hand_off else {
            return false;
        };
        hand_off.stage = stage;
        hand_off.has_ended
    }
}
