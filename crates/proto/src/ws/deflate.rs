//! permessage-deflate: what is agreed on, and whole messages through zlib.
//! <https://www.rfc-editor.org/rfc/rfc7692#section-7>
//!
//! Compressors take 300 KiB and inflaters 40 KiB, so connections don't own any: they borrow them
//! from the [`Codecs`] of their thread for the length of a message. That is why both sides are
//! asked not to take their contexts over from message to message.

use std::cell::RefCell;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::close::code;
use super::frame::Failure;
use crate::field::{list, trim_ows};

/// The parameters that the handshake came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deflation {
    /// The window that the peer is able to inflate with.
    window_bits: u8,
    /// The peer asked for a window of this size, so the answer names it.
    names_window: bool,
}

impl Deflation {
    /// Picks the first acceptable offer from the lines of Sec-WebSocket-Extensions.
    ///
    /// > A server MUST decline an extension negotiation offer for this extension if [it] contains
    /// > an extension parameter not defined for use in an offer, [...] an invalid value, [or]
    /// > multiple extension parameters with the same name — after RFC 7692, 7
    pub(super) fn negotiate<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        lines.flat_map(list).find_map(Self::accept)
    }

    fn accept(offer: &[u8]) -> Option<Self> {
        let mut parts = offer.split(|byte| *byte == b';').map(trim_ows);
        if !parts.next()?.eq_ignore_ascii_case(b"permessage-deflate") {
            return None;
        }
        let mut deflation = Self {
            window_bits: MAX_WINDOW_BITS,
            names_window: false,
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        for part in parts {
            let (name, value) = parameter(part);
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match (name, value) {
                (b"server_no_context_takeover" | b"client_no_context_takeover", None) => {}
                (b"client_max_window_bits", None) => {}
                (b"client_max_window_bits", Some(bits)) => {
                    window_bits(bits)?;
                }
                (b"server_max_window_bits", Some(bits)) => {
                    // zlib makes no raw stream with a window of 256 bytes.
                    deflation.window_bits = window_bits(bits).filter(|bits| *bits > 8)?;
                    deflation.names_window = true;
                }
                _ => return None,
            }
        }
        Some(deflation)
    }

    /// The value of Sec-WebSocket-Extensions in the answer.
    ///
    /// > A server may include the "client_no_context_takeover" extension parameter in an extension
    /// > negotiation response [even if the offer does not] — after RFC 7692, 7.1.1.2
    pub(super) fn answer(self) -> String {
        let mut answer = String::from(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        );
        if self.names_window {
            answer.push_str("; server_max_window_bits=");
            answer.push_str(itoa::Buffer::new().format(self.window_bits));
        }
        answer
    }
}

fn parameter(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(at) = part.iter().position(|byte| *byte == b'=') else {
        return (part, None);
    };
    let value = trim_ows(&part[at + 1..]);
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    (trim_ows(&part[..at]), Some(value))
}

/// > a decimal integer value without leading zeroes between 8 to 15, inclusive
/// > — RFC 7692, 7.1.2.1
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// Compressors and inflaters for the connections of one thread; there are as many as were in use
/// at once.
#[derive(Default)]
pub struct Codecs {
    inflaters: RefCell<Vec<Inflate>>,
    compressors: RefCell<Vec<(u8, Deflate)>>,
}

impl Codecs {
    /// An inflater at the start of a message.
    pub(super) fn inflater(&self) -> Inflater {
        let inflate = self.inflaters.borrow_mut().pop();
        Inflater(inflate.map_or_else(
            || Inflate::new(false, MAX_WINDOW_BITS),
            |mut inflate| {
                inflate.reset(false);
                inflate
            },
        ))
    }

    /// Takes an inflater back.
    pub(super) fn give_back(&self, inflater: Inflater) {
        let mut inflaters = self.inflaters.borrow_mut();
        if inflaters.len() < SPARE {
            inflaters.push(inflater.0);
        }
    }

    /// Appends `message`, compressed, to `out`. False, and nothing appended, if that fails.
    ///
    /// > Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end. — RFC 7692, 7.2.1
    pub(super) fn compress(&self, with: Deflation, message: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let bits = with.window_bits;
        let kept = {
            let mut spare = self.compressors.borrow_mut();
            let at = spare.iter().position(|(other, _)| *other == bits);
            at.map(|at| spare.swap_remove(at).1)
        };
        let mut deflate = kept.unwrap_or_else(|| Deflate::new(LEVEL, false, bits));
        let done = run_compressor(&mut deflate, message, out) && out[start..].ends_with(TAIL);
        if done {
            out.truncate(out.len() - TAIL.len());
        } else {
            out.truncate(start);
        }
        deflate.reset();
        let mut spare = self.compressors.borrow_mut();
        if spare.len() < SPARE {
            spare.push((bits, deflate));
        }
        done
    }
}

fn run_compressor(deflate: &mut Deflate, message: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = message;
    loop {
        let filled = out.len();
        out.resize(filled + (rest.len() / 2).max(STEP), 0);
        let (total_in, total_out) = (deflate.total_in(), deflate.total_out());
        let result = deflate.compress(rest, &mut out[filled..], DeflateFlush::SyncFlush);
        rest = &rest[(deflate.total_in() - total_in) as usize..];
        let made = (deflate.total_out() - total_out) as usize;
        let is_full = filled + made == out.len();
        out.truncate(filled + made);
        match result {
            Err(_) => return false,
            Ok(_) if made == 0 && deflate.total_in() == total_in && !is_full => {
                return rest.is_empty();
            }
            // With room left, everything is flushed.
            Ok(_) if rest.is_empty() && !is_full => return true,
            Ok(_) => {}
        }
    }
}

/// Bytes that a message may have.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_size: usize,
    /// The same for one that is inflated.
    pub(super) allowance: usize,
}

impl Bounds {
    fn inflated(self) -> usize {
        self.max_size.min(self.allowance)
    }

    /// The failure of an inflated message that is larger.
    fn exceeded(self) -> Failure {
        match self.allowance < self.max_size {
            true => (code::TRY_AGAIN_LATER, "too many bytes wait"),
            false => (code::TOO_BIG, "message too big"),
        }
    }
}

/// Inflates one message, piece by piece.
pub(super) struct Inflater(Inflate);

impl Inflater {
    /// Appends what `input` inflates to, unless `out` would get longer than `bounds` say.
    pub(super) fn push(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bounds: Bounds,
    ) -> Result<(), Failure> {
        let limit = bounds.inflated();
        let mut rest = input;
        loop {
            let filled = out.len();
            let room = (rest.len().saturating_mul(4)).clamp(STEP, MAX_STEP);
            // One byte more than allowed tells a message that is too big from one that fits.
            let end = (filled + room).min(limit.saturating_add(1));
            out.resize(end, 0);
            let (total_in, total_out) = (self.0.total_in(), self.0.total_out());
            let result = self
                .0
                .decompress(rest, &mut out[filled..], InflateFlush::SyncFlush);
            let taken = (self.0.total_in() - total_in) as usize;
            rest = &rest[taken..];
            let made = (self.0.total_out() - total_out) as usize;
            out.truncate(filled + made);
            let is_full = filled + made == end;
            if out.len() > limit {
                return Err(bounds.exceeded());
            }
            match result {
                // > a DEFLATE block with the "BFINAL" bit set to 1 [may be used; what follows]
                // > — after RFC 7692, 7.2.3.4
                Ok(Status::StreamEnd) => self.0.reset(false),
                Ok(_) => {}
                Err(_) => return Err((code::INVALID_DATA, "broken compressed data")),
            }
            if rest.is_empty() && !is_full {
                return Ok(());
            }
            if made == 0 && taken == 0 {
                return Err((code::INVALID_DATA, "broken compressed data"));
            }
        }
    }

    /// Ends the message.
    ///
    /// > Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message.
    /// > — RFC 7692, 7.2.2
    pub(super) fn end(&mut self, out: &mut Vec<u8>, bounds: Bounds) -> Result<(), Failure> {
        self.push(TAIL, out, bounds)
    }
}

const TAIL: &[u8] = b"\x00\x00\xff\xff";
const MAX_WINDOW_BITS: u8 = 15;
/// Fast, at nine tenths of the ratio of zlib's default.
const LEVEL: i32 = 1;
const STEP: usize = 1024;
const MAX_STEP: usize = 256 * 1024;
const SPARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(line: &str) -> Option<String> {
        Deflation::negotiate([line.as_bytes()].into_iter()).map(Deflation::answer)
    }

    #[test]
    fn offers() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "PerMessage-Deflate;client_max_window_bits=\"10\" ; server_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate; client_no_context_takeover",
            "permessage-deflate; unknown, permessage-deflate",
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
        ] {
            assert_eq!(negotiate(offer).as_deref(), Some(plain), "{offer}");
        }
        let window = format!("{plain}; server_max_window_bits=10");
        let offer = "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
        assert_eq!(negotiate(offer), Some(window));
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(negotiate(offer), None, "{offer}");
        }
    }

    fn inflate(data: &[u8], step: usize, limit: usize) -> Result<Vec<u8>, Failure> {
        let codecs = Codecs::default();
        let mut inflater = codecs.inflater();
        let mut out = Vec::new();
        let bounds = Bounds {
            max_size: limit,
            allowance: usize::MAX,
        };
        for piece in data.chunks(step) {
            inflater.push(piece, &mut out, bounds)?;
        }
        inflater.end(&mut out, bounds)?;
        codecs.give_back(inflater);
        Ok(out)
    }

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7692, 7.2.3: one block, without compression, with BFINAL, two blocks; and one behind
        // an empty one with BFINAL.
        let samples: [&[u8]; 5] = [
            b"\xf2\x48\xcd\xc9\xc9\x07\x00",
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            b"\x03\x00\xf2\x48\xcd\xc9\xc9\x07\x00",
        ];
        for sample in samples {
            for step in 1..=sample.len() {
                assert_eq!(inflate(sample, step, 100).unwrap(), b"Hello", "{sample:?}");
            }
        }
    }

    #[test]
    fn round_trips_and_limits() {
        let codecs = Codecs::default();
        for bits in [9, 12, 15] {
            let deflation = Deflation {
                window_bits: bits,
                names_window: true,
            };
            for len in [0usize, 1, 100, 1023, 1024, 5000, 300_000] {
                let message: Vec<u8> = (0..len).map(|at| (at * at / 7) as u8).collect();
                let mut wire = b"before".to_vec();
                assert!(codecs.compress(deflation, &message, &mut wire));
                let data = &wire[6..];
                assert_eq!(inflate(data, 700, len).unwrap(), message, "{bits} {len}");
                if len > 0 {
                    assert_eq!(inflate(data, 700, len - 1).unwrap_err().0, 1009);
                }
            }
        }
        assert_eq!(inflate(b"\xff\xff\xff", 3, 10).unwrap_err().0, 1007);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let codecs = Codecs::default();
        let deflation = Deflation::accept(b"permessage-deflate").unwrap();
        let mut wire = Vec::new();
        assert!(codecs.compress(deflation, &vec![0; 50_000_000], &mut wire));
        assert_eq!(inflate(&wire, wire.len(), 1 << 20).unwrap_err().0, 1009);
    }
}
