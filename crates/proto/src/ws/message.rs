//! Messages put together from the payloads of their frames.

use bytes::{Buf, Bytes, BytesMut};

use super::Event;
use super::close::{CloseReason, code};
use super::deflate::{Bounds, Codecs, Inflater};
use super::frame::{Failure, Header, Opcode, unmask};
use super::utf8::Utf8;

/// The message that is being received, if any.
#[derive(Default)]
pub(super) struct Assembly {
    message: Option<Box<Partial>>,
    /// Bytes of the message that was given last, if it was inflated.
    inflated: usize,
}

struct Partial {
    is_text: bool,
    data: Vec<u8>,
    utf8: Utf8,
    inflater: Option<Inflater>,
    /// Bytes of compressed payload that are inflated at a time.
    step: usize,
    frame: Option<Payload>,
}

/// The frame whose payload is arriving.
struct Payload {
    fin: bool,
    mask: [u8; 4],
    len: u64,
    done: u64,
}

impl Assembly {
    /// Bytes that the message in progress was inflated to; else, once, those of the one that was given last.
    pub(super) fn take_inflated(&mut self) -> usize {
        match &self.message {
            Some(message) if message.inflater.is_some() => message.data.len(),
            _ => std::mem::take(&mut self.inflated),
        }
    }

    /// Whether the next bytes are payload.
    pub(super) fn awaits_payload(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.frame.is_some())
    }

    /// Whether the payload that comes next is to be inflated.
    pub(super) fn is_inflating(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.frame.is_some() && message.inflater.is_some())
    }

    /// Whether a data frame with this header may come now.
    ///
    /// > [...] fragments of one message MUST NOT be interleaved between the fragments of another
    /// > message — RFC 6455, 5.4
    pub(super) fn check(&self, header: &Header, limit: usize) -> Result<(), Failure> {
        let is_continuation = header.opcode == Opcode::Continuation;
        let held = match &self.message {
            None if is_continuation => {
                return Err((code::PROTOCOL_ERROR, "nothing to continue"));
            }
            Some(_) if !is_continuation => {
                return Err((code::PROTOCOL_ERROR, "message not continued"));
            }
            None => 0,
            Some(message) => message.data.len(),
        };
        let is_inflated = header.compressed
            || self
                .message
                .as_ref()
                .is_some_and(|message| message.inflater.is_some());
        // `Inflater::push` measures a compressed message.
        if !is_inflated && header.len > (limit - held.min(limit)) as u64 {
            return Err((code::TOO_BIG, "message too big"));
        }
        Ok(())
    }

    /// The message, if it is one uncompressed frame that has come whole; its payload is taken.
    pub(super) fn whole(
        &self,
        header: &Header,
        input: &mut BytesMut,
    ) -> Result<Option<Event>, Failure> {
        let is_single = header.fin && !header.compressed && self.message.is_none();
        if !is_single || (input.len() as u64) < header.len {
            return Ok(None);
        }
        let len = header.len as usize;
        unmask(&mut input[..len], header.mask, 0);
        let is_text = header.opcode == Opcode::Text;
        if is_text && std::str::from_utf8(&input[..len]).is_err() {
            return Err(NOT_UTF8);
        }
        let data = if len <= COPY_LIMIT {
            let data = Bytes::copy_from_slice(&input[..len]);
            input.advance(len);
            data
        } else {
            input.split_to(len).freeze()
        };
        Ok(Some(event(is_text, data)))
    }

    /// The payload of a frame with this header comes next.
    pub(super) fn begin(&mut self, header: &Header, codecs: &Codecs) {
        let message = self.message.get_or_insert_with(|| {
            Box::new(Partial {
                is_text: header.opcode == Opcode::Text,
                data: Vec::new(),
                utf8: Utf8::default(),
                inflater: header.compressed.then(|| codecs.inflater()),
                step: FIRST_STEP,
                frame: None,
            })
        });
        message.frame = Some(Payload {
            fin: header.fin,
            mask: header.mask,
            len: header.len,
            done: 0,
        });
    }

    /// Takes payload from the front of `input`. Gives the message if that completes it.
    pub(super) fn push(
        &mut self,
        input: &mut BytesMut,
        codecs: &Codecs,
        bounds: Bounds,
    ) -> Result<Option<Event>, Failure> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        if !message.push(input, bounds)? {
            return Ok(None);
        }
        let Some(mut message) = self.message.take() else {
            return Ok(None);
        };
        if let Some(inflater) = message.inflater {
            codecs.give_back(inflater);
            self.inflated = message.data.len();
            // It may have room for as much again.
            message.data.shrink_to_fit();
        }
        Ok(Some(event(message.is_text, Bytes::from(message.data))))
    }
}

impl Partial {
    /// True if the message is complete.
    fn push(&mut self, input: &mut BytesMut, bounds: Bounds) -> Result<bool, Failure> {
        let Some(frame) = &mut self.frame else {
            return Ok(false);
        };
        let left = usize::try_from(frame.len - frame.done).unwrap_or(usize::MAX);
        let len = match self.inflater {
            Some(_) => left.min(input.len()).min(self.step),
            None => left.min(input.len()),
        };
        unmask(&mut input[..len], frame.mask, frame.done);
        let checked = self.data.len();
        match &mut self.inflater {
            Some(inflater) => {
                inflater.push(&input[..len], &mut self.data, bounds)?;
                let became = self.data.len() - checked;
                if became > len * FACTOR {
                    // The whole message keeps to small steps: others in between would let it have large ones again.
                    self.step = SMALL_STEP;
                } else if len > 0 && self.step == FIRST_STEP {
                    self.step = STEP;
                }
            }
            None => self.data.extend_from_slice(&input[..len]),
        }
        input.advance(len);
        frame.done += len as u64;
        let fin = frame.fin;
        if frame.done == frame.len {
            self.frame = None;
        }
        let is_complete = self.frame.is_none() && fin;
        if is_complete && let Some(inflater) = &mut self.inflater {
            inflater.end(&mut self.data, bounds)?;
        }
        // > When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream
        // > is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket
        // > Connection_. — RFC 6455, 8.1
        if self.is_text {
            let valid = self.utf8.push(&self.data[checked..]);
            if !valid || (is_complete && !self.utf8.is_complete()) {
                return Err(NOT_UTF8);
            }
        }
        Ok(is_complete)
    }
}

fn event(is_text: bool, data: Bytes) -> Event {
    if is_text {
        Event::Text(data)
    } else {
        Event::Binary(data)
    }
}

/// > Control frames [...] can be interjected in the middle of a fragmented message.
/// > — RFC 6455, 5.5
pub(super) fn control(
    header: &Header,
    len: usize,
    input: &mut BytesMut,
) -> Result<Option<Event>, Failure> {
    let payload_len = header.len as usize;
    if input.len() < len + payload_len {
        return Ok(None);
    }
    input.advance(len);
    unmask(&mut input[..payload_len], header.mask, 0);
    let payload = Bytes::copy_from_slice(&input[..payload_len]);
    input.advance(payload_len);
    Ok(Some(match header.opcode {
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        _ => Event::Close(CloseReason::parse(payload)?),
    }))
}

const NOT_UTF8: Failure = (code::INVALID_DATA, "text is not UTF-8");
/// Bytes of compressed payload that are inflated at a time, most often to less than `FACTOR` times as many.
const STEP: usize = 1024;
/// The same for those that become more, up to a thousand times as many.
const SMALL_STEP: usize = 128;
/// The same for the first ones.
const FIRST_STEP: usize = 512;
const FACTOR: usize = 50;
/// Up to here a copy costs less than keeping the receive buffer.
const COPY_LIMIT: usize = 4 * 1024;
