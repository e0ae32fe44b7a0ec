//! UTF-8 that arrives in pieces, refused at the first byte that can't be right.

/// The check of a text that arrives in pieces. It keeps the bytes of a character that is not
/// complete.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Utf8 {
    pending: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes the next piece in. False if no text can begin like this.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((first, rest)) = piece.split_first() else {
                return true;
            };
            self.pending[self.len] = *first;
            self.len += 1;
            piece = rest;
            match std::str::from_utf8(&self.pending[..self.len]) {
                Ok(_) => self.len = 0,
                // At most three bytes are incomplete, so a fourth one always fits.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        let Err(error) = std::str::from_utf8(piece) else {
            return true;
        };
        if error.error_len().is_some() {
            return false;
        }
        let rest = &piece[error.valid_up_to()..];
        self.pending[..rest.len()].copy_from_slice(rest);
        self.len = rest.len();
        true
    }

    /// Whether the text may end here.
    pub(super) fn is_complete(self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], split: usize) -> bool {
        let mut utf8 = Utf8::default();
        utf8.push(&bytes[..split]) && utf8.push(&bytes[split..]) && utf8.is_complete()
    }

    #[test]
    fn agrees_with_std_at_every_split() {
        let samples: [&[u8]; 12] = [
            b"",
            b"plain",
            "κόσμε".as_bytes(),
            "a\u{10ffff}b\u{800}".as_bytes(),
            b"\xff",
            b"ab\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
            b"\xf0\x9f\x98",
            b"\xce\xba\xe1\xbd",
            b"\xf8\x88\x80\x80\x80",
        ];
        for sample in samples {
            for split in 0..=sample.len() {
                let expected = std::str::from_utf8(sample).is_ok();
                assert_eq!(check(sample, split), expected, "{sample:?} at {split}");
            }
            let mut utf8 = Utf8::default();
            let whole = sample.iter().all(|byte| utf8.push(&[*byte]));
            let valid = whole && utf8.is_complete();
            assert_eq!(valid, std::str::from_utf8(sample).is_ok());
        }
    }

    #[test]
    fn fails_at_the_first_impossible_byte() {
        let mut utf8 = Utf8::default();
        assert!(utf8.push(b"\xf4"));
        assert!(!utf8.push(b"\x90"));
    }
}
