//! `Encoder`: bytes into a content coding, piece by piece, each of which can be decoded when it
//! arrives.

use std::cell::RefCell;
use std::io::{self, Write};
use std::mem;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

/// The effort that an encoder makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// For bytes that are sent once: as cheap as compression is worth having.
    Once,
    /// For bytes that are kept and sent often.
    Kept,
    /// For events that are sent now and then, over a long time: little memory.
    Events,
}

/// The events after a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// All bytes so far can be decoded.
    Flush,
    /// The body ends.
    Finish,
}

/// See the module's documentation.
pub(crate) enum Encoder {
    /// Nothing has been encoded of a body of that many bytes, where that is known.
    New(Coding, Effort, Option<u64>),
    Gzip(Lent),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Finished,
}

impl Coding {
    /// The codings in the order in which equally welcome ones are taken, by their names. The first is
    /// the cheapest for what it saves.
    pub(crate) const ALL: [(&'static str, Self); 3] = [
        ("zstd", Self::Zstd),
        ("br", Self::Brotli),
        ("gzip", Self::Gzip),
    ];

    /// The name in `content-encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Encoder {
    /// An encoder at the start of a body of `len` bytes, if that is known.
    pub(crate) fn new(coding: Coding, effort: Effort, len: Option<u64>) -> Self {
        Self::New(coding, effort, len)
    }

    fn begin(coding: Coding, effort: Effort, len: Option<u64>) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Lent::new(effort)),
            Coding::Brotli => {
                let params = brotli_params(effort, len);
                let writer = CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &params);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), zstd_level(effort))?;
                encoder.window_log(window_bits(effort, len))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Encodes a piece.
    ///
    /// # Errors
    /// When the library fails, which it does for lack of memory only.
    pub(crate) fn encode(&mut self, piece: &[u8], then: Then) -> io::Result<Bytes> {
        if let Self::New(coding, effort, len) = *self {
            if coding == Coding::Zstd
                && effort == Effort::Once
                && then == Then::Finish
                && piece.len() <= MOST_AT_ONCE
            {
                *self = Self::Finished;
                return at_once(piece);
            }
            *self = Self::begin(coding, effort, len)?;
        }
        let encoded = match (&mut *self, then) {
            (Self::Gzip(lent), Then::Flush) => deflated(lent.deflate()?, piece, then)?,
            (Self::Brotli(writer), Then::Flush) => {
                writer.write_all(piece)?;
                writer.flush()?;
                mem::take(writer.get_mut())
            }
            (Self::Zstd(encoder), Then::Flush) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                mem::take(encoder.get_mut())
            }
            (Self::Gzip(_) | Self::Brotli(_) | Self::Zstd(_), Then::Finish) => {
                match mem::replace(self, Self::Finished) {
                    Self::Gzip(mut lent) => deflated(lent.deflate()?, piece, then)?,
                    Self::Brotli(mut writer) => {
                        writer.write_all(piece)?;
                        writer.into_inner()
                    }
                    Self::Zstd(mut encoder) => {
                        encoder.write_all(piece)?;
                        encoder.finish()?
                    }
                    Self::New(..) | Self::Finished => Vec::new(),
                }
            }
            (Self::New(..) | Self::Finished, _) => Vec::new(),
        };
        Ok(Bytes::from(encoded))
    }
}

/// The whole of `body` in `coding`.
///
/// # Errors
/// See [`Encoder::encode`].
pub(crate) fn encoded(coding: Coding, effort: Effort, body: &[u8]) -> io::Result<Bytes> {
    Encoder::new(coding, effort, Some(body.len() as u64)).encode(body, Then::Finish)
}

/// The whole of a body in zstd, by the thread's own context: to make one costs more than to compress 10 KiB.
fn at_once(body: &[u8]) -> io::Result<Bytes> {
    thread_local! {
        static CONTEXT: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        let compressor = match context {
            Some(compressor) => compressor,
            None => context.insert(zstd::bulk::Compressor::new(zstd_level(Effort::Once))?),
        };
        let mut encoded = compressor.compress(body)?;
        encoded.shrink_to_fit();
        Ok(Bytes::from(encoded))
    })
}

fn zstd_level(effort: Effort) -> i32 {
    match effort {
        Effort::Once => 3,
        Effort::Kept => 9,
        Effort::Events => 1,
    }
}

/// An encoder of gzip, which goes back to the shelf of the thread that has done with it.
pub(crate) struct Lent(Option<Deflate>, Effort);

thread_local! {
    /// Encoders for bodies that are sent once.
    static SHELF: RefCell<Vec<Deflate>> = const { RefCell::new(Vec::new()) };
}

impl Lent {
    fn new(effort: Effort) -> Self {
        let kept = match effort {
            Effort::Once => SHELF.with_borrow_mut(Vec::pop),
            Effort::Kept | Effort::Events => None,
        };
        Self(Some(kept.unwrap_or_else(|| gzip(effort))), effort)
    }

    fn deflate(&mut self) -> io::Result<&mut Deflate> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::Other.into())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut deflate) = self.0.take().filter(|_| self.1 == Effort::Once) else {
            return;
        };
        // A thread that ends has no shelf any more.
        let _ = SHELF.try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            if shelf.len() < MOST_ON_SHELF {
                deflate.reset();
                shelf.push(deflate);
            }
        });
    }
}

fn gzip(effort: Effort) -> Deflate {
    let (level, window_bits, mem_level) = match effort {
        Effort::Once => (GZIP_LEVEL, 15, 8),
        Effort::Kept => (6, 15, 8),
        // 155 KiB instead of 310; 128 of both are a table of fixed size.
        Effort::Events => (GZIP_LEVEL, 12, 5),
    };
    Deflate::new_with_config(DeflateConfig {
        window_bits: window_bits + GZIP_FORMAT,
        mem_level,
        ..DeflateConfig::new(level)
    })
}

fn brotli_params(effort: Effort, len: Option<u64>) -> BrotliEncoderParams {
    BrotliEncoderParams {
        quality: match effort {
            Effort::Once => 4,
            Effort::Kept => 6,
            Effort::Events => 1,
        },
        lgwin: window_bits(effort, len).cast_signed(),
        size_hint: len
            .and_then(|len| usize::try_from(len).ok())
            .unwrap_or_default(),
        ..BrotliEncoderParams::default()
    }
}

/// The logarithm of the window, which most of an encoder's memory depends on.
fn window_bits(effort: Effort, len: Option<u64>) -> u32 {
    let most = match effort {
        Effort::Once => 18,
        Effort::Kept => 21,
        Effort::Events => 14,
    };
    let needed = len.map_or(most, |len| u64::BITS - len.leading_zeros());
    needed.clamp(LEAST_WINDOW, most)
}

fn deflated(deflate: &mut Deflate, piece: &[u8], then: Then) -> io::Result<Vec<u8>> {
    let flush = match then {
        Then::Flush => DeflateFlush::SyncFlush,
        Then::Finish => DeflateFlush::Finish,
    };
    let mut out = vec![0; piece.len() / 3 + 512];
    let (mut taken, mut made) = (0, 0);
    loop {
        let (before_in, before_out) = (deflate.total_in(), deflate.total_out());
        let status = deflate.compress(&piece[taken..], &mut out[made..], flush);
        let status = status.map_err(|error| io::Error::other(error.as_str()))?;
        let step = |before: u64, after: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
        taken += step(before_in, deflate.total_in());
        made += step(before_out, deflate.total_out());
        // A flush is complete when it leaves room.
        let is_flushed = taken == piece.len() && made < out.len();
        match then {
            Then::Flush if is_flushed => break,
            Then::Finish if status == Status::StreamEnd => break,
            _ => out.resize(out.len() * 2, 0),
        }
    }
    out.truncate(made);
    Ok(out)
}

/// Added to a window's size it asks zlib for the format of gzip.
const GZIP_FORMAT: i32 = 16;
const GZIP_LEVEL: i32 = 4;
/// Encoders of gzip that a thread keeps, of 310 KiB each.
const MOST_ON_SHELF: usize = 4;
/// Bytes of a body up to which a thread's context of zstd is used, which keeps what it needs for as many.
const MOST_AT_ONCE: usize = 256 * 1024;
const BROTLI_BUFFER: usize = 4 * 1024;
const LEAST_WINDOW: u32 = 10;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zlib_rs::{Inflate, InflateFlush};

    use super::*;

    fn decoded(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 1 << 20];
        match coding {
            Coding::Gzip => {
                let mut inflate = Inflate::new(true, 31);
                let flush = InflateFlush::SyncFlush;
                inflate.decompress(encoded, &mut out, flush).unwrap();
                out.truncate(usize::try_from(inflate.total_out()).unwrap());
            }
            Coding::Brotli => {
                let mut reader = brotli::Decompressor::new(encoded, 4096);
                let mut count = 0;
                while let Ok(read @ 1..) = reader.read(&mut out[count..]) {
                    count += read;
                }
                out.truncate(count);
            }
            Coding::Zstd => {
                let mut reader = zstd::Decoder::new(encoded).unwrap();
                let mut count = 0;
                while let Ok(read @ 1..) = reader.read(&mut out[count..]) {
                    count += read;
                }
                out.truncate(count);
            }
        }
        out
    }

    #[test]
    fn every_piece_can_be_decoded_when_it_comes() {
        for (name, coding) in Coding::ALL {
            for effort in [Effort::Once, Effort::Events] {
                let mut encoder = Encoder::new(coding, effort, None);
                let (mut sent, mut all) = (Vec::new(), Vec::new());
                for piece in ["data: one\n\n", "", "data: two\n\n", &"x".repeat(100_000)] {
                    all.extend_from_slice(piece.as_bytes());
                    sent.extend(encoder.encode(piece.as_bytes(), Then::Flush).unwrap());
                    assert!(decoded(coding, &sent) == all, "{name} {effort:?}");
                }
                sent.extend(encoder.encode(b"end", Then::Finish).unwrap());
                all.extend_from_slice(b"end");
                assert!(decoded(coding, &sent) == all, "{name} {effort:?}");
            }
        }
    }

    #[test]
    fn whole_bodies() {
        for (name, coding) in Coding::ALL {
            for effort in [Effort::Once, Effort::Kept, Effort::Events] {
                for len in [0, 1, 1000, 50_000, 300_000] {
                    let body: Vec<u8> = (0..len).map(|at: u32| (at % 251 / 7) as u8).collect();
                    let encoded = encoded(coding, effort, &body).unwrap();
                    assert!(decoded(coding, &encoded) == body, "{name} {effort:?} {len}");
                    assert!(len < 1000 || encoded.len() < body.len() / 3, "{name} {len}");
                }
            }
        }
    }

    #[test]
    fn a_body_that_was_given_up_leaves_nothing_in_the_next_one() {
        let mut given_up = Encoder::new(Coding::Gzip, Effort::Once, None);
        given_up.encode(b"given up, given up", Then::Flush).unwrap();
        drop(given_up);
        for _ in 0..2 {
            let encoded = encoded(Coding::Gzip, Effort::Once, b"given up, and more").unwrap();
            assert_eq!(decoded(Coding::Gzip, &encoded), b"given up, and more");
        }
    }

    #[test]
    fn bytes_without_a_pattern() {
        let mut seed = 1_u32;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(200_000)
        .collect();
        for (_, coding) in Coding::ALL {
            let encoded = encoded(coding, Effort::Once, &body).unwrap();
            assert!(decoded(coding, &encoded) == body);
        }
    }
}
