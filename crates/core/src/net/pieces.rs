//! The pieces of a body that wait in a queue: few, whatever they come in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Appends a piece. Small ones are gathered: each would keep the whole buffer that it was read into,
/// a thousand times its own size when a peer sends byte by byte.
pub(super) fn push(queue: &mut VecDeque<Bytes>, piece: Bytes) {
    let is_small = |piece: &Bytes| piece.len() < SMALL;
    let last = match queue.back() {
        Some(last) if is_small(last) && is_small(&piece) => queue.pop_back(),
        _ => None,
    };
    let Some(last) = last else {
        return queue.push_back(piece);
    };
    let mut gathered = last
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    gathered.extend_from_slice(&piece);
    queue.push_back(gathered.freeze());
}

/// A quarter of a read buffer: so much more than its bytes may a queue hold on to.
const SMALL: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_become_one_and_large_ones_stay() {
        let buffer = Bytes::from(vec![b'x'; 20_000]);
        let mut queue = VecDeque::new();
        for _ in 0..3000 {
            push(&mut queue, buffer.slice(0..3));
        }
        push(&mut queue, buffer.slice(0..10_000));
        push(&mut queue, buffer.slice(0..10));
        let lens: Vec<usize> = queue.iter().map(Bytes::len).collect();
        assert_eq!(lens.iter().sum::<usize>(), 9000 + 10_000 + 10);
        assert!(lens.len() <= 5, "{lens:?}");
        assert_eq!(queue[lens.len() - 2].as_ptr(), buffer.as_ptr());
    }
}
