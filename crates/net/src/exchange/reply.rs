//! `Reply`: what an application sends, piece by piece.

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, Trailers};

use crate::stream::region::FileRegion;

/// What an application sends, in order.
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
        /// Which bytes of which file.
        file: FileRegion,
        /// The body ends with them.
        last: bool,
    },
    /// The head that hands the stream over to the WebSocket protocol.
    Upgrade(ResponseHead),
    /// The end of the body.
    End(Option<Trailers>),
    /// The response cannot be completed: the connection is cut so that nobody takes it for whole.
    Abort,
}

impl Reply {
    /// Bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Data { data, .. } => data.len(),
            Self::Push(promise) => promise.weight(),
            _ => 0,
        }
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
