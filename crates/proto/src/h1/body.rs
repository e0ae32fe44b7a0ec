//! Request bodies: received bytes to pieces of content and trailers.

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Status, parse_headers};

use super::lines::Lines;
use super::options::Options;
use crate::error::{HeadError, PeerError};
use crate::event::BodyLength;
use crate::response::Trailers;

/// A body that is being received.
pub(super) enum Decoder {
    Sized { left: u64 },
    Chunked(Chunked),
}

/// A piece of a body.
pub(super) enum Piece {
    Data(Bytes),
    End(Option<Trailers>),
}

impl Decoder {
    pub(super) fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::Empty => Self::Sized { left: 0 },
            BodyLength::Sized(left) => Self::Sized { left },
            BodyLength::Chunked => Self::Chunked(Chunked::default()),
        }
    }

    /// Bytes that are known to be missing; of a chunked body, those of the current chunk.
    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Sized { left } => *left,
            Self::Chunked(chunked) => match chunked.step {
                Step::Data(left) => left,
                _ => 0,
            },
        }
    }

    /// Whether the whole body has arrived.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Sized { left: 0 })
    }

    /// Takes from the front of `input` what belongs to the body.
    pub(super) fn poll(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Piece>, PeerError> {
        match self {
            Self::Sized { left: 0 } => Ok(Some(Piece::End(None))),
            Self::Sized { left } => Ok(take(left, input).map(Piece::Data)),
            Self::Chunked(chunked) => chunked.poll(input, options),
        }
    }
}

/// > chunked-body = *chunk last-chunk trailer-section CRLF
/// > — RFC 9112, 7.1 <https://www.rfc-editor.org/rfc/rfc9112#section-7.1>
pub(super) struct Chunked {
    step: Step,
    lines: Lines,
    /// Bytes of chunk extensions that are still accepted.
    extensions_left: usize,
    /// The sizes of all chunks so far.
    total: u64,
}

enum Step {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            step: Step::Size,
            lines: Lines::default(),
            extensions_left: MAX_EXTENSIONS,
            total: 0,
        }
    }
}

impl Chunked {
    fn poll(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Piece>, PeerError> {
        loop {
            match &mut self.step {
                Step::Size => match self.take_size(input, options)? {
                    Some(0) => self.step = Step::Trailers,
                    Some(size) => self.step = Step::Data(size),
                    None => return Ok(None),
                },
                Step::Data(0) => self.step = Step::DataEnd,
                Step::Data(left) => return Ok(take(left, input).map(Piece::Data)),
                // > chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF — RFC 9112, 7.1
                Step::DataEnd => match input[..] {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.step = Step::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(PeerError::Chunk),
                },
                Step::Trailers => return self.take_trailers(input, options),
            }
        }
    }

    fn take_size(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<u64>, PeerError> {
        let limit = MAX_SIZE_DIGITS + self.extensions_left + 2;
        let line = match self.lines.next(input, limit) {
            Ok(Some(line)) => &input[line],
            Ok(None) => return Ok(None),
            // > A recipient MUST ignore unrecognized chunk extensions. A server ought to limit the
            // > total length of chunk extensions received in a request to an amount reasonable for
            // > the services provided — RFC 9112, 7.1.1
            Err(PeerError::HeadTooLarge) => return Err(PeerError::Chunk),
            Err(error) => return Err(error),
        };
        let (size, digits) = parse_size(line).ok_or(PeerError::Chunk)?;
        self.extensions_left = self
            .extensions_left
            .checked_sub(line.len() - digits)
            .ok_or(PeerError::Chunk)?;
        self.total = self
            .total
            .checked_add(size)
            .ok_or(PeerError::BodyTooLarge)?;
        if options
            .max_body_size
            .is_some_and(|limit| self.total > limit)
        {
            return Err(PeerError::BodyTooLarge);
        }
        input.advance(self.lines.position());
        self.lines = Lines::default();
        Ok(Some(size))
    }

    fn take_trailers(
        &mut self,
        input: &mut BytesMut,
        options: &Options,
    ) -> Result<Option<Piece>, PeerError> {
        while let Some(line) = self.lines.next(input, options.max_head_size)? {
            if line.is_empty() {
                let end = self.lines.position();
                let trailers = parse_trailers(&input[..end], self.lines.count() - 1)?;
                input.advance(end);
                return Ok(Some(Piece::End(trailers)));
            }
            if self.lines.count() > options.max_fields {
                return Err(PeerError::TooManyFields);
            }
        }
        Ok(None)
    }
}

fn take(left: &mut u64, input: &mut BytesMut) -> Option<Bytes> {
    let count = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.len());
    if count == 0 {
        return None;
    }
    *left -= count as u64;
    Some(input.split_to(count).freeze())
}

/// The size of a chunk, and the number of its digits.
///
/// > chunk-size = 1*HEXDIG
/// > chunk-ext  = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
/// > — RFC 9112, 7.1 and 7.1.1 <https://www.rfc-editor.org/rfc/rfc9112#section-7.1>
///
/// The content of an extension is ignored, but a control character in it is an error.
fn parse_size(line: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0u64;
    let mut digits = 0;
    for byte in line {
        let Some(digit) = char::from(*byte).to_digit(16) else {
            break;
        };
        if digits == MAX_SIZE_DIGITS {
            return None;
        }
        size = size << 4 | u64::from(digit);
        digits += 1;
    }
    let extension = line[digits..].trim_ascii_start();
    let is_legal = match (&line[digits..], extension) {
        ([], _) => true,
        (_, [b';', ..]) => line[digits..]
            .iter()
            .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
        _ => false,
    };
    (digits > 0 && is_legal).then_some((size, digits))
}

fn parse_trailers(block: &[u8], count: usize) -> Result<Option<Trailers>, PeerError> {
    if count == 0 {
        return Ok(None);
    }
    let mut slots = vec![EMPTY_HEADER; count];
    let Ok(Status::Complete((_, fields))) = parse_headers(block, &mut slots) else {
        return Err(PeerError::Field);
    };
    let mut trailers = Trailers::new();
    for field in fields {
        match trailers.append(field.name.as_bytes(), field.value) {
            // Fields that don't belong there are ignored: nothing may come of them.
            Ok(()) | Err(HeadError::Trailer) => {}
            Err(_) => return Err(PeerError::Field),
        }
    }
    Ok((!trailers.is_empty()).then_some(trailers))
}

/// A `u64` has sixteen hexadecimal digits.
const MAX_SIZE_DIGITS: usize = 16;
/// Bytes of chunk extensions in one body.
const MAX_EXTENSIONS: usize = 16 * 1024;
