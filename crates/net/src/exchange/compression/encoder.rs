//! `Encoder`: bytes into a content coding, piece by piece, each of which can be decoded when it
//! arrives.

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
    Gzip(Box<Deflate>),
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
    ///
    /// # Errors
    /// When the library has no memory.
    pub(crate) fn new(coding: Coding, effort: Effort, len: Option<u64>) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Box::new(gzip(effort))),
            Coding::Brotli => {
                let params = brotli_params(effort, len);
                let writer = CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &params);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let level = match effort {
                    Effort::Once => 3,
                    Effort::Kept => 9,
                    Effort::Events => 1,
                };
                let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
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
        let encoded = match (&mut *self, then) {
            (Self::Gzip(deflate), _) => deflated(deflate, piece, then)?,
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
            (Self::Brotli(_) | Self::Zstd(_), Then::Finish) => {
                match mem::replace(self, Self::Finished) {
                    Self::Brotli(mut writer) => {
                        writer.write_all(piece)?;
                        writer.into_inner()
                    }
                    Self::Zstd(mut encoder) => {
                        encoder.write_all(piece)?;
                        encoder.finish()?
                    }
                    Self::Gzip(_) | Self::Finished => Vec::new(),
                }
            }
            (Self::Finished, _) => Vec::new(),
        };
        Ok(Bytes::from(encoded))
    }
}

/// The whole of `body` in `coding`.
///
/// # Errors
/// See [`Encoder::encode`].
pub(crate) fn encoded(coding: Coding, effort: Effort, body: &[u8]) -> io::Result<Bytes> {
    Encoder::new(coding, effort, Some(body.len() as u64))?.encode(body, Then::Finish)
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
                let mut encoder = Encoder::new(coding, effort, None).unwrap();
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
                for len in [0, 1, 1000, 300_000] {
                    let body: Vec<u8> = (0..len).map(|at: u32| (at % 251 / 7) as u8).collect();
                    let encoded = encoded(coding, effort, &body).unwrap();
                    assert!(decoded(coding, &encoded) == body, "{name} {effort:?} {len}");
                    assert!(len < 1000 || encoded.len() < body.len() / 3, "{name} {len}");
                }
            }
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
