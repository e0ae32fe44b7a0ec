//! Frames: their headers as bytes, and masking.
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>

use super::close::{MAX_CONTROL_PAYLOAD, code};

/// The kind of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a frame from the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// RSV1: the message that begins here is compressed.
    pub(super) compressed: bool,
    pub(super) mask: [u8; 4],
    pub(super) len: u64,
}

/// Why the connection fails: the close code, and the same in words.
pub(super) type Failure = (u16, &'static str);

impl Header {
    /// The header at the front of `input` and its own length; `None` while it is not complete.
    /// An error is returned as soon as the bytes received so far show it.
    pub(super) fn parse(input: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, Failure> {
        let [first, rest @ ..] = input else {
            return Ok(None);
        };
        let fin = first & FIN != 0;
        let compressed = first & RSV1 != 0;
        // > MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.
        // > [...] the receiving endpoint MUST _Fail the WebSocket Connection_. — RFC 6455, 5.2
        if first & (RSV2 | RSV3) != 0 || (compressed && !deflate) {
            return Err((code::PROTOCOL_ERROR, "reserved bit set"));
        }
        let Some(opcode) = Opcode::of(first & OPCODE) else {
            return Err((code::PROTOCOL_ERROR, "reserved opcode"));
        };
        // > An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and
        // > non-first fragments of a data message. — RFC 7692, 6.1
        if compressed && (opcode.is_control() || opcode == Opcode::Continuation) {
            return Err((code::PROTOCOL_ERROR, "reserved bit set"));
        }
        if opcode.is_control() && !fin {
            return Err((code::PROTOCOL_ERROR, "fragmented control frame"));
        }
        let [second, rest @ ..] = rest else {
            return Ok(None);
        };
        // > a server MUST close a connection upon receiving a frame that is not masked
        // > — RFC 6455, 5.1
        if second & MASKED == 0 {
            return Err((code::PROTOCOL_ERROR, "frame is not masked"));
        }
        if opcode.is_control() && second & LEN > MAX_CONTROL_PAYLOAD as u8 {
            return Err((code::PROTOCOL_ERROR, "control frame too long"));
        }
        let Some((len, rest)) = parse_len(second & LEN, rest)? else {
            return Ok(None);
        };
        let [a, b, c, d, ..] = rest else {
            return Ok(None);
        };
        let header = Self {
            opcode,
            fin,
            compressed,
            mask: [*a, *b, *c, *d],
            len,
        };
        Ok(Some((header, input.len() - rest.len() + 4)))
    }
}

/// > in all cases, the minimal number of bytes MUST be used to encode the length [...] the most
/// > significant bit MUST be 0 — RFC 6455, 5.2
fn parse_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Failure> {
    let (len, rest, least) = match short {
        LEN_16 => match rest {
            [a, b, rest @ ..] => (u64::from(u16::from_be_bytes([*a, *b])), rest, 126),
            _ => return Ok(None),
        },
        LEN_64 => match rest.split_first_chunk::<8>() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 0x1_0000),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    if len < least || len > i64::MAX as u64 {
        return Err((code::PROTOCOL_ERROR, "malformed payload length"));
    }
    Ok(Some((len, rest)))
}

/// Writes the header of a whole message or control frame; servers do not mask.
pub(super) fn write_header(opcode: Opcode, compressed: bool, len: usize, out: &mut Vec<u8>) {
    let first = FIN | opcode.bits() | if compressed { RSV1 } else { 0 };
    match len {
        0..=MAX_CONTROL_PAYLOAD => out.extend_from_slice(&[first, len as u8]),
        126..=0xffff => {
            let [a, b] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, LEN_16, a, b]);
        }
        _ => {
            out.extend_from_slice(&[first, LEN_64]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Undoes the masking of a piece that begins `at` bytes into its payload.
///
/// > transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4) — RFC 6455, 5.3
pub(super) fn unmask(piece: &mut [u8], mask: [u8; 4], at: u64) {
    let mut mask = mask;
    mask.rotate_left((at % 4) as usize);
    let word = u64::from(u32::from_ne_bytes(mask));
    let word = word | (word << 32);
    let mut words = piece.chunks_exact_mut(8);
    for chunk in &mut words {
        if let Ok(bytes) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ word).to_ne_bytes());
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LEN: u8 = 0x7f;
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_at_every_offset_and_length() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for at in 0..9u64 {
            for len in 0..40 {
                let mut piece: Vec<u8> = (0..len).collect();
                unmask(&mut piece, mask, at);
                for (index, byte) in piece.iter().enumerate() {
                    let key = mask[(index + at as usize) % 4];
                    assert_eq!(*byte, index as u8 ^ key);
                }
            }
        }
    }

    #[test]
    fn example_of_the_rfc() {
        // RFC 6455, 5.7: "A single-frame masked text message"
        let frame = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        let (header, len) = Header::parse(&frame, false).unwrap().unwrap();
        assert_eq!(
            (header.opcode, header.fin, header.len),
            (Opcode::Text, true, 5)
        );
        let mut payload = frame[len..].to_vec();
        unmask(&mut payload, header.mask, 0);
        assert_eq!(payload, b"Hello");
        for end in 0..len {
            assert_eq!(Header::parse(&frame[..end], false), Ok(None));
        }
    }

    #[test]
    fn lengths() {
        for len in [0usize, 1, 125, 126, 127, 0xffff, 0x1_0000, 1 << 33] {
            let mut wire = Vec::new();
            write_header(Opcode::Binary, false, len, &mut wire);
            wire[1] |= MASKED;
            wire.extend_from_slice(b"mask");
            let (header, end) = Header::parse(&wire, false).unwrap().unwrap();
            assert_eq!((header.len, end), (len as u64, wire.len()));
        }
        for bad in [
            &b"\x82\xfe\x00\x7d"[..],
            b"\x82\xff\0\0\0\0\0\0\xff\xff",
            b"\x82\xff\x80\0\0\0\0\x01\0\0",
        ] {
            assert_eq!(Header::parse(bad, false).unwrap_err().0, 1002, "{bad:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_seen_early() {
        let bad: [&[u8]; 9] = [
            b"\x91",
            b"\xa1",
            b"\xc1",
            b"\x83",
            b"\x8b",
            b"\x09",
            b"\x81\x05",
            b"\x89\xfe",
            b"\x88\xff",
        ];
        for bytes in bad {
            assert_eq!(
                Header::parse(bytes, false).unwrap_err().0,
                1002,
                "{bytes:?}"
            );
        }
        assert_eq!(Header::parse(b"\xc1", true), Ok(None));
        for bytes in [&b"\xc0"[..], b"\xc9", b"\xd1", b"\xa1"] {
            assert_eq!(Header::parse(bytes, true).unwrap_err().0, 1002, "{bytes:?}");
        }
    }
}
