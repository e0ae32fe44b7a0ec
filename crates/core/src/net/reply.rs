//! `Reply`: what an application sends, piece by piece, and the files it sends from.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use granian_proto::h2::Promise;
use granian_proto::{ResponseHead, Trailers};
use rustix::fs::OFlags;

/// What an application sends, in order.
pub(crate) enum Reply {
    /// An informational head, such as 103 Early Hints.
    Informational(ResponseHead),
    /// A further request, whose response goes out beside this one where the peer takes it.
    Push(Promise),
    /// The final head.
    Head(ResponseHead),
    /// A piece of the body; `last` ends the response.
    Data { data: Bytes, last: bool },
    /// A region of a file as a piece of the body; `last` ends the response.
    File { file: FileRegion, last: bool },
    /// The head that hands the stream over to the WebSocket protocol.
    Upgrade(ResponseHead),
    /// The end of the body.
    End(Option<Trailers>),
    /// The response cannot be completed: the connection is cut so that nobody takes it for whole.
    Abort,
}

impl Reply {
    /// Bytes in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Data { data, .. } => data.len(),
            Self::Push(promise) => promise.weight(),
            _ => 0,
        }
    }

    /// True if it ends the response.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Self::Data { last, .. } | Self::File { last, .. } => *last,
            Self::End(_) | Self::Upgrade(_) | Self::Abort => true,
            Self::Informational(_) | Self::Push(_) | Self::Head(_) => false,
        }
    }
}

/// Part of an open file.
pub(crate) struct FileRegion {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl FileRegion {
    /// The whole of the regular file at `path`.
    ///
    /// # Errors
    /// What opening it gives; `NotFound` for what is no regular file, such as a directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // A named pipe would keep the worker's thread until somebody writes into it.
        let file = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self {
            file: Arc::new(file),
            offset: 0,
            len: metadata.len(),
        })
    }

    /// The part of the region from `start` to `end`, as far as there is any.
    pub(crate) fn slice(mut self, start: u64, end: u64) -> Self {
        let end = end.min(self.len);
        let start = start.min(end);
        self.offset += start;
        self.len = end - start;
        self
    }
}
