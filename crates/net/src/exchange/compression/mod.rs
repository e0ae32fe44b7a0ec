//! `Compression`: the content coding of one response, between its application and its connection.
//!
//! The verdict falls when the head is about to leave, or when the first of the body shows how much
//! there is. An encoder works outside of the exchange's lock, and on a thread of its own for large
//! pieces; replies that are made meanwhile wait behind it, and count as queued.

pub(crate) mod encoder;
pub(crate) mod verdict;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use granian_proto::{RequestHead, ResponseHead};

use self::encoder::{Coding, Encoder, Then};
use self::verdict::{Verdict, coding_for};
use super::reply::Reply;
use super::{Exchange, State};
use crate::runtime::pool::Pool;
use crate::runtime::ready::Ready;
use crate::runtime::waker::{lock, thread_token, wake};

/// See the module's documentation.
pub(super) struct Compression {
    /// The coding that the client likes best.
    coding: Option<Coding>,
    is_head_request: bool,
    stage: Stage,
    exchange: Weak<Exchange>,
    workshop: Arc<Workshop>,
    /// The call has ended, and its record waits for the encoder.
    has_ended: bool,
}

enum Stage {
    /// The head has not been made, or may still be changed.
    Undecided,
    Plain,
    /// A response to HEAD that has no body to compress: nobody knows how long that would be.
    Withheld,
    Encoding(Encoder),
    /// The encoder is at work; these wait for it.
    Away(VecDeque<Reply>),
}

/// The threads for large pieces, and the thread that they relieve.
pub(crate) struct Workshop {
    pub(crate) threads: Arc<Pool<Job>>,
    /// Exchanges whose calls have ended before their bodies were encoded.
    pub(crate) ended: Ready<Arc<Exchange>>,
    /// The connections' thread.
    home: usize,
}

/// One piece for an encoder.
pub(crate) struct Job {
    encoder: Encoder,
    reply: Reply,
    exchange: Arc<Exchange>,
}

/// The way of a reply that was sent.
pub(super) enum Way {
    /// Into the queue.
    Queue(Reply),
    /// Through the encoder first.
    Encode(Box<Job>, Arc<Workshop>),
    /// It waits behind the encoder.
    Kept,
}

impl Workshop {
    /// Relieves the thread `home`, see `thread_token`.
    pub(crate) fn new(threads: Arc<Pool<Job>>, home: usize) -> Self {
        Self {
            threads,
            ended: Ready::new(),
            home,
        }
    }

    fn relieves(&self, reply: &Reply) -> bool {
        let is_large = matches!(reply, Reply::Data { data, .. } if data.len() > LARGE);
        is_large && self.home == thread_token()
    }
}

impl Compression {
    /// Decides, and changes the head among `replies` accordingly. `len` is the body's, where the head
    /// need not say it.
    fn decide(&mut self, replies: &mut VecDeque<Reply>, len: Option<u64>) {
        let head = replies.iter_mut().rev().find_map(|reply| match reply {
            Reply::Head(head) => Some(head),
            _ => None,
        });
        self.stage = head.map_or(Stage::Plain, |head| self.decide_on(head, len));
    }

    fn decide_on(&self, head: &mut ResponseHead, len: Option<u64>) -> Stage {
        let len = head.content_length().or(len);
        let verdict = Verdict::of(head, len, self.coding);
        verdict.rewrite(head);
        match verdict {
            Verdict::Encoded(..) if self.is_head_request => Stage::Withheld,
            Verdict::Encoded(coding, effort) => Stage::Encoding(Encoder::new(coding, effort, len)),
            Verdict::Plain | Verdict::Varies => Stage::Plain,
        }
    }
}

impl State {
    /// The replies are about to leave: a head that is among them, without a body.
    pub(super) fn settle_head(&mut self) {
        if let Some(compression) = &mut self.compression
            && matches!(compression.stage, Stage::Undecided)
            && self
                .replies
                .iter()
                .any(|reply| matches!(reply, Reply::Head(_)))
        {
            compression.decide(&mut self.replies, None);
        }
    }

    /// True while all of the body is with the encoder: the head waits, to announce its length.
    pub(super) fn is_encoding_whole(&self) -> bool {
        self.is_encoding() && self.answered && self.is_lone_head()
    }

    /// True while a piece of the body is with the encoder.
    pub(super) fn is_encoding(&self) -> bool {
        let stage = self
            .compression
            .as_ref()
            .map(|compression| &compression.stage);
        matches!(stage, Some(Stage::Away(_)))
    }

    /// True if the record of a call that has ended has to wait for the encoder.
    pub(super) fn awaits_encoder(&mut self) -> bool {
        let Some(compression) = &mut self.compression else {
            return false;
        };
        compression.has_ended = matches!(compression.stage, Stage::Away(_));
        compression.has_ended
    }

    /// The workshop that ends the call, if that waits for the encoder.
    fn late_end(&self) -> Option<Arc<Workshop>> {
        let compression = self.compression.as_ref()?;
        let is_late = compression.has_ended && !matches!(compression.stage, Stage::Away(_));
        is_late.then(|| Arc::clone(&compression.workshop))
    }

    /// Finds the way of `reply`, which the application has sent.
    pub(super) fn direct(&mut self, reply: Reply) -> Way {
        let Some(compression) = &mut self.compression else {
            return Way::Queue(reply);
        };
        if let Stage::Away(waiting) = &mut compression.stage {
            self.room.add(reply.weight());
            waiting.push_back(reply);
            return Way::Kept;
        }
        if matches!(compression.stage, Stage::Undecided) {
            match &reply {
                Reply::Data { data, last: true } => {
                    compression.decide(&mut self.replies, Some(data.len() as u64));
                }
                Reply::Data { .. } | Reply::End(Some(_)) => {
                    compression.decide(&mut self.replies, None);
                }
                Reply::End(None) => compression.decide(&mut self.replies, Some(0)),
                // It leaves by the kernel's hands, as it is.
                Reply::File { .. } => compression.stage = Stage::Plain,
                _ => {}
            }
        }
        let is_encoded = matches!(reply, Reply::Data { .. } | Reply::End(_));
        match std::mem::replace(&mut compression.stage, Stage::Plain) {
            Stage::Encoding(encoder) if is_encoded => {
                let Some(exchange) = compression.exchange.upgrade() else {
                    return Way::Queue(Reply::Abort);
                };
                compression.stage = Stage::Away(VecDeque::new());
                let workshop = Arc::clone(&compression.workshop);
                let job = Job {
                    encoder,
                    reply,
                    exchange,
                };
                Way::Encode(Box::new(job), workshop)
            }
            // > a server MAY omit header fields for which a value is determined only while generating the content
            // > — RFC 9110, 9.3.2 <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2>
            //
            // That is the length: the plain body's would be another one.
            Stage::Withheld if matches!(reply, Reply::Data { last: true, .. }) => {
                Way::Queue(Reply::End(None))
            }
            // The head of an encoded response has announced no file.
            Stage::Encoding(_) if matches!(reply, Reply::File { .. }) => Way::Queue(Reply::Abort),
            stage => {
                compression.stage = stage;
                Way::Queue(reply)
            }
        }
    }

    /// Takes `encoded` in, and gives the next reply that waits for the encoder. Without one
    /// `encoder` is kept for what follows.
    fn take_back(&mut self, job: Job, encoded: io::Result<Bytes>) -> Option<(Encoder, Reply)> {
        let plain = match &job.reply {
            Reply::Data { data, .. } => data.len(),
            _ => 0,
        };
        match encoded {
            Ok(encoded) => {
                if let Some(notes) = &mut self.notes {
                    notes.correct(plain, encoded.len());
                }
                self.push_encoded(job.reply, encoded);
            }
            Err(_) => self.push(Reply::Abort),
        }
        let compression = self.compression.as_mut()?;
        let Stage::Away(waiting) = &mut compression.stage else {
            return None;
        };
        while let Some(reply) = waiting.pop_front() {
            self.room.subtract(reply.weight());
            if matches!(reply, Reply::Data { .. } | Reply::End(_)) {
                return Some((job.encoder, reply));
            }
            let weight = reply.weight();
            self.replies.push_back(reply);
            self.room.add(weight);
        }
        compression.stage = Stage::Encoding(job.encoder);
        None
    }

    /// Nobody takes the response any more.
    fn give_up(&mut self) -> Option<(Encoder, Reply)> {
        if let Some(compression) = &mut self.compression {
            compression.stage = Stage::Plain;
        }
        None
    }

    fn push_encoded(&mut self, reply: Reply, encoded: Bytes) {
        match reply {
            Reply::Data { last, .. } => self.push(Reply::Data {
                data: encoded,
                last,
            }),
            Reply::End(trailers) => {
                if !encoded.is_empty() {
                    self.push(Reply::Data {
                        data: encoded,
                        last: false,
                    });
                }
                self.push(Reply::End(trailers));
            }
            other => self.push(other),
        }
    }
}

impl Job {
    /// Encodes the piece and those that come meanwhile.
    pub(crate) fn run(mut self) {
        loop {
            let encoded = match &self.reply {
                Reply::Data { data, last: true } => self.encoder.encode(data, Then::Finish),
                Reply::Data { data, last: false } => self.encoder.encode(data, Then::Flush),
                _ => self.encoder.encode(&[], Then::Finish),
            };
            let exchange = Arc::clone(&self.exchange);
            let (next, waker, late_end) = {
                let mut state = lock(&exchange.state);
                let next = match state.over {
                    None => state.take_back(self, encoded),
                    Some(_) => state.give_up(),
                };
                (next, state.connection.take(), state.late_end())
            };
            wake(waker);
            let Some((encoder, reply)) = next else {
                if let Some(workshop) = late_end {
                    workshop.ended.push(exchange);
                }
                return;
            };
            self = Self {
                encoder,
                reply,
                exchange,
            };
        }
    }
}

impl Exchange {
    /// The response is compressed, if that helps and the client of `head` takes it. Before the
    /// application is called.
    pub(crate) fn begin_compression(
        self: &Arc<Self>,
        head: &RequestHead,
        workshop: &Arc<Workshop>,
    ) {
        let compression = Compression {
            coding: coding_for(head),
            is_head_request: head.is_head(),
            stage: Stage::Undecided,
            exchange: Arc::downgrade(self),
            workshop: Arc::clone(workshop),
            has_ended: false,
        };
        lock(&self.state).compression = Some(Box::new(compression));
    }

    pub(super) fn encode(job: Job, workshop: &Workshop) {
        if !workshop.relieves(&job.reply) {
            return job.run();
        }
        workshop.threads.submit(job);
        for (_, job) in workshop.threads.staff() {
            // Without a thread this one has to do it.
            job.run();
        }
    }
}

/// Bytes that the connections' thread compresses at a time: a millisecond's work at most.
const LARGE: usize = 64 * 1024;
