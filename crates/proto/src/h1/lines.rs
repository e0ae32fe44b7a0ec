//! `Lines`: finds the lines of a head or a trailer section in what has been received so far,
//! looking at no byte twice however it was split.

use std::ops::Range;

use memchr::memchr;

use crate::error::PeerError;

/// The state of a search for lines at the start of the input.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Lines {
    scanned: usize,
    line_start: usize,
    count: usize,
}

impl Lines {
    /// The next whole line without its line end. `Err(PeerError::HeadTooLarge)` if it doesn't end
    /// within the first `limit` bytes.
    ///
    /// > a recipient MAY recognize a single LF as a line terminator and ignore any preceding CR
    /// > — RFC 9112, 2.2 <https://www.rfc-editor.org/rfc/rfc9112#section-2.2>
    ///
    /// This server does not: a second parser on the path could see another line there, and a
    /// smuggled request in it.
    pub(super) fn next(
        &mut self,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<Range<usize>>, PeerError> {
        let window = &input[..input.len().min(limit)];
        let unseen = window.get(self.scanned..).unwrap_or_default();
        let Some(offset) = memchr(b'\n', unseen) else {
            self.scanned = window.len();
            return if input.len() >= limit {
                Err(PeerError::HeadTooLarge)
            } else {
                Ok(None)
            };
        };
        let end = self.scanned + offset;
        if end == self.line_start || input[end - 1] != b'\r' {
            return Err(PeerError::LineEnd);
        }
        let line = self.line_start..end - 1;
        self.scanned = end + 1;
        self.line_start = end + 1;
        self.count += 1;
        Ok(Some(line))
    }

    /// The number of lines found.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The place where the next line starts.
    pub(super) fn position(&self) -> usize {
        self.line_start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_split() {
        let input = b"ab\r\n\r\ncd\r\n";
        for at in 0..=input.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for seen in [&input[..at], input] {
                while let Some(line) = lines.next(seen, 100).unwrap() {
                    found.push(line);
                }
            }
            assert_eq!(found, [0..2, 4..4, 6..8]);
            assert_eq!((lines.count(), lines.position()), (3, 10));
        }
    }

    #[test]
    fn bare_line_feeds() {
        for input in [&b"\n"[..], b"a\n", b"\r\r\n\n"] {
            let mut lines = Lines::default();
            let error = loop {
                match lines.next(input, 100) {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert_eq!(error, Err(PeerError::LineEnd), "{input:?}");
        }
    }

    #[test]
    fn limit_counts_the_line_end() {
        assert_eq!(Lines::default().next(b"abc\r\n", 5), Ok(Some(0..3)));
        assert_eq!(
            Lines::default().next(b"abc\r\n", 4),
            Err(PeerError::HeadTooLarge)
        );
        assert_eq!(Lines::default().next(b"abc", 4), Ok(None));
    }
}
