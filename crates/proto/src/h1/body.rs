//! Request bodies: of a known length, or chunked (RFC 9112, 7.1).

use bytes::{Buf, Bytes, BytesMut};

use super::Options;
use crate::error::PeerError;
use crate::head::Trailers;

/// The decoder of one body.
#[derive(Debug)]
pub(super) enum Decoder {
    Sized(u64),
    Chunked(Chunked),
}

#[derive(Debug)]
pub(super) struct Chunked {
    state: ChunkState,
    /// Bytes of all chunks so far.
    total: u64,
    /// Bytes of chunk extensions so far; nobody needs many.
    extensions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What a decoder found.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    End(Option<Trailers>),
}

impl Decoder {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked { state: ChunkState::Size, total: 0, extensions: 0 })
    }

    /// Bytes that are certainly still to come.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Self::Sized(left) => *left,
            Self::Chunked(Chunked { state: ChunkState::Data(left), .. }) => *left,
            Self::Chunked(_) => 1,
        }
    }

    /// The next piece, taken from the front of `input`.
    pub(super) fn decode(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Piece>, PeerError> {
        match self {
            Self::Sized(0) => Ok(Some(Piece::End(None))),
            Self::Sized(left) => Ok(take(input, left).map(Piece::Data)),
            Self::Chunked(chunked) => chunked.decode(input, options),
        }
    }
}

impl Chunked {
    fn decode(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Piece>, PeerError> {
        loop {
            match &mut self.state {
                ChunkState::Size => {
                    let Some(line) = take_line(input, SIZE_LINE)? else { return Ok(None) };
                    let size = self.parse_size(&line)?;
                    self.total = self.total.checked_add(size).ok_or(PeerError::Malformed)?;
                    if options.max_body_size.is_some_and(|limit| self.total > limit) {
                        return Err(PeerError::BodyTooLarge);
                    }
                    self.state =
                        if size == 0 { ChunkState::Trailers } else { ChunkState::Data(size) };
                }
                ChunkState::Data(left) => {
                    let Some(data) = take(input, left) else { return Ok(None) };
                    if *left == 0 {
                        self.state = ChunkState::DataEnd;
                    }
                    return Ok(Some(Piece::Data(data)));
                }
                ChunkState::DataEnd => {
                    match input.as_ref() {
                        [b'\r', b'\n', ..] => input.advance(2),
                        [] | [b'\r'] => return Ok(None),
                        _ => return Err(PeerError::Malformed),
                    }
                    self.state = ChunkState::Size;
                }
                ChunkState::Trailers => {
                    return Ok(parse_trailers(input, options)?.map(Piece::End));
                }
            }
        }
    }

    /// `chunk-size [ chunk-ext ]`; extensions are ignored (RFC 9112, 7.1.1).
    fn parse_size(&mut self, line: &[u8]) -> Result<u64, PeerError> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = line.split_at(digits);
        if size.is_empty() || size.len() > 16 {
            return Err(PeerError::Malformed);
        }
        if !matches!(rest.trim_ascii_start(), [] | [b';', ..]) || (rest.ends_with(b" ") && !rest.contains(&b';'))
            || rest.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f)
        {
            return Err(PeerError::Malformed);
        }
        self.extensions += rest.len();
        if self.extensions > EXTENSIONS {
            return Err(PeerError::Malformed);
        }
        let size = str::from_utf8(size).map_err(|_| PeerError::Malformed)?;
        u64::from_str_radix(size, 16).map_err(|_| PeerError::Malformed)
    }
}

fn take(input: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    if input.is_empty() {
        return None;
    }
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= len as u64;
    Some(input.split_to(len).freeze())
}

/// A line without its CRLF, once it is whole; at most `limit` bytes.
fn take_line(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, PeerError> {
    match memchr::memchr(b'\n', input) {
        Some(end) if end > limit => Err(PeerError::Malformed),
        Some(end) => {
            let mut line = input.split_to(end + 1);
            line.truncate(end);
            if line.last() != Some(&b'\r') {
                return Err(PeerError::Malformed);
            }
            line.truncate(end - 1);
            Ok(Some(line.freeze()))
        }
        None if input.len() > limit => Err(PeerError::Malformed),
        None => Ok(None),
    }
}

fn parse_trailers(
    input: &mut BytesMut,
    options: &Options,
) -> Result<Option<Option<Trailers>>, PeerError> {
    let Some(end) = memchr::memrchr(b'\n', input) else {
        return if input.len() > TRAILERS { Err(PeerError::HeadTooLarge) } else { Ok(None) };
    };
    let lines = &input[..=end];
    let mut fields = vec![httparse::EMPTY_HEADER; options.max_fields.min(64)];
    match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) => {
            if memchr::memchr_iter(b'\n', &lines[..len]).any(|at| at == 0 || lines[at - 1] != b'\r')
            {
                return Err(PeerError::Malformed);
            }
            let mut trailers = Trailers::default();
            for field in fields {
                // Fields that can't be trailers are left out, as RFC 9110, 6.5.1 allows.
                let _ = trailers.append(field.name.as_bytes(), field.value);
            }
            input.advance(len);
            Ok(Some((!trailers.lines.is_empty()).then_some(trailers)))
        }
        Ok(httparse::Status::Partial) if input.len() > TRAILERS => Err(PeerError::HeadTooLarge),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(PeerError::HeadTooLarge),
        Err(_) => Err(PeerError::Malformed),
    }
}

const SIZE_LINE: usize = 4 * 1024;
const EXTENSIONS: usize = 16 * 1024;
const TRAILERS: usize = 64 * 1024;
