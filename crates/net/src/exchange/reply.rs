//! `Reply`: one step of an application's response.

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, Trailers};

use crate::stream::region::FileRegion;

/// The steps of a response, in order.
pub enum Reply {
    /// An informational head, such as 103 Early Hints.
    Informational(ResponseHead),
    /// A further request, whose response goes out beside this one where the peer takes it.
    Push(Promise),
    /// The final head.
    Head(ResponseHead),
    /// A piece of the body; `last` ends the response.
    Data {
        /// The piece.
        data: Bytes,
        /// The body ends with it.
        last: bool,
    },
    /// A region of a file as a piece of the body; `last` ends the response.
    File {
        /// The bytes of the file.
        file: FileRegion,
        /// The body ends with them.
        last: bool,
    },
    /// The head that hands the stream over to the WebSocket protocol.
    Upgrade(ResponseHead),
    /// The end of the body.
    End(Option<Trailers>),
    /// The response cannot be completed. The connection is cut, so that the peer does not take it
    /// for whole.
    Abort,
}

impl Reply {
    /// Bytes in memory: the content in an allocation of its own, and the reply's place in a queue that may be half
    /// empty, so that small replies count too. A file counts as the reply only.
    pub(crate) fn weight(&self) -> usize {
        let held = match self {
            Self::Informational(head) | Self::Head(head) | Self::Upgrade(head) => head.weight(),
            Self::Push(promise) => promise.weight(),
            Self::Data { data, .. } => data.len(),
            Self::End(trailers) => trailers.as_ref().map_or(0, Trailers::weight),
            Self::File { .. } | Self::Abort => 0,
        };
        2 * size_of::<Self>() + ALLOCATION + held
    }

    /// True if it ends the response.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Data { last, .. } | Self::File { last, .. } => *last,
            Self::End(_) | Self::Upgrade(_) | Self::Abort => true,
            Self::Informational(_) | Self::Push(_) | Self::Head(_) => false,
        }
    }
}

/// Bytes that an allocation takes beside those that are asked for, at most.
pub(crate) const ALLOCATION: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn every_reply_has_a_weight_of_at_least_what_it_holds() {
        let mut hint = ResponseHead::informational(103).unwrap();
        hint.append(b"link", &[b'x'; 1000]).unwrap();
        let mut trailers = Trailers::new();
        trailers.append(b"grpc-status", &[b'0'; 500]).unwrap();
        let mut promise = Promise::new("/").unwrap();
        promise.append(b"accept", &[b'a'; 700]).unwrap();
        let data = Bytes::from_static(b"hello");
        for (reply, held) in [
            (Reply::Informational(hint.clone()), 1000),
            (Reply::Head(hint.clone()), 1000),
            (Reply::Upgrade(hint), 1000),
            (Reply::Push(promise), 700),
            (Reply::Data { data, last: false }, 5),
            (Reply::End(Some(trailers)), 500),
            (Reply::End(None), 0),
            (Reply::Abort, 0),
        ] {
            let weight = reply.weight();
            assert!(
                weight > held && weight < 2 * held + 512,
                "{weight} of {held}"
            );
        }
    }

    #[test]
    fn small_replies_weigh_at_least_what_they_take() {
        for count in [1, 100, 1000] {
            let mut queue = VecDeque::new();
            let mut weight = 0;
            for _ in 0..count {
                let data = Bytes::copy_from_slice(b"x");
                let reply = Reply::Data { data, last: false };
                weight += reply.weight();
                queue.push_back(reply);
            }
            let least = 24; // of glibc's allocator
            let taken = queue.capacity() * size_of::<Reply>() + count * least;
            assert!(
                weight >= taken - 4 * size_of::<Reply>(),
                "{weight} for {taken}"
            );
        }
    }
}
