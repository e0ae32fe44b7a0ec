//! `Pieces`: received bytes of a body on their way to the application, in the buffers that they were read into. Each
//! interface copies them once, into an object of its own, and while no lock is held.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes};

/// See the module's documentation.
#[derive(Debug)]
pub struct Pieces {
    content: Content,
    /// Bytes of all.
    len: usize,
}

/// Most reads find one piece: for that no list is made.
#[derive(Debug)]
enum Content {
    One(Bytes),
    Many(VecDeque<Bytes>),
}

impl Pieces {
    /// All of `queue`, which has `len` bytes.
    pub(super) fn take(queue: &mut VecDeque<Bytes>, len: usize) -> Self {
        let content = match queue.len() {
            0 | 1 => Content::One(queue.pop_front().unwrap_or_default()),
            _ => Content::Many(std::mem::take(queue)),
        };
        Self { content, len }
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, if they are in one piece.
    pub fn as_one(&self) -> Option<&Bytes> {
        match &self.content {
            Content::One(piece) => Some(piece),
            Content::Many(_) => None,
        }
    }

    /// Each piece, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let (one, many) = match &self.content {
            Content::One(piece) => (Some(piece), None),
            Content::Many(pieces) => (None, Some(pieces)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Copies the bytes to the end of `buffer`.
    pub fn append_to(&self, buffer: &mut impl BufMut) {
        self.iter().for_each(|piece| buffer.put_slice(piece));
    }

    /// All bytes in one piece.
    #[cfg(test)]
    pub(crate) fn joined(&self) -> Bytes {
        let mut joined = Vec::new();
        self.append_to(&mut joined);
        Bytes::from(joined)
    }
}

impl From<Bytes> for Pieces {
    fn from(piece: Bytes) -> Self {
        Self {
            len: piece.len(),
            content: Content::One(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_in_order() {
        for words in [&[][..], &["one"], &["one", "two", "three"]] {
            let mut queue: VecDeque<Bytes> = words.iter().map(|it| (*it).into()).collect();
            let whole = words.concat();
            let pieces = Pieces::take(&mut queue, whole.len());
            assert!(queue.is_empty());
            assert_eq!(
                (pieces.len(), pieces.is_empty()),
                (whole.len(), words.is_empty())
            );
            assert_eq!(pieces.as_one().is_some(), words.len() < 2);
            assert_eq!(pieces.joined(), whole);
        }
    }
}
