//! `Buffers`: spare receive buffers of one worker. Connections have one only while they read.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::bounds::READ_SIZE;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    /// An empty buffer with room for one read.
    pub(crate) fn take(&self) -> BytesMut {
        let mut buffer = self.0.borrow_mut().pop().unwrap_or_default();
        buffer.reserve(READ_SIZE);
        buffer
    }

    /// Takes an empty buffer back.
    pub(crate) fn give(&self, buffer: BytesMut) {
        let mut buffers = self.0.borrow_mut();
        if buffers.len() < SPARE_BUFFERS && buffer.is_empty() {
            buffers.push(buffer);
        }
    }
}

/// Connections that read at the same time within a turn need one or two; the rest is freed.
const SPARE_BUFFERS: usize = 4;
