//! From a decision to the replies of an exchange.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use granian_proto::{HeadError, RequestHead, ResponseHead, retry_after};

use super::decide::{Decision, decide};
use super::heads;
use super::mount::{Found, Mount};
use super::options::MountOptions;
use super::stored::{Content, Stored};
use crate::exchange::Exchange;
use crate::exchange::app::Request;
use crate::exchange::reply::Reply;

impl Mount {
    /// Answers `request` with what was found.
    pub(super) fn answer(&self, request: &Request, found: &Found) {
        let answered = match found {
            Found::File(stored) => send(&self.options, request, stored),
            Found::Folder => {
                redirect(request.head()).and_then(|head| plain(&request.exchange, head, ""))
            }
            Found::Missing | Found::Refused => {
                ResponseHead::new(404).and_then(|head| plain(&request.exchange, head, "Not found"))
            }
        };
        if answered.is_err() {
            // Out of the bytes of a name came no field value.
            request.exchange.send(Reply::Abort);
        }
    }
}

/// Answers `request` with the file, or a part of it, as its fields ask for.
pub(super) fn send(
    options: &MountOptions,
    request: &Request,
    stored: &Stored,
) -> Result<(), HeadError> {
    let exchange = &request.exchange;
    let decision = match decide(request.head(), &stored.validators, stored.len) {
        Decision::Part(_) | Decision::Parts(_) | Decision::Unsatisfiable
            if !stored.description.takes_ranges =>
        {
            Decision::Whole
        }
        decision => decision,
    };
    match decision {
        Decision::Whole => {
            let is_head = request.head().method() == "HEAD";
            send_region(
                exchange,
                stored.whole.clone(),
                stored,
                0..stored.len,
                is_head,
            );
        }
        Decision::Part(part) => {
            let mut head = heads::head(206, options, &stored.description, &stored.validators)?;
            let range = content_range(&part, stored.len);
            head.append(b"content-range", range.as_bytes())?;
            let length = part.end - part.start;
            head.append(b"content-length", length.to_string().as_bytes())?;
            // There are no parts of an answer to HEAD.
            send_region(exchange, head, stored, part, false);
        }
        Decision::Parts(parts) => send_parts(options, exchange, stored, &parts)?,
        Decision::NotModified => exchange.send_whole(stored.not_modified.clone(), Bytes::new()),
        Decision::Failed => plain(exchange, ResponseHead::new(412)?, "")?,
        Decision::Unsatisfiable => {
            let mut head = ResponseHead::new(416)?;
            head.append(
                b"content-range",
                format!("bytes */{}", stored.len).as_bytes(),
            )?;
            plain(exchange, head, "")?;
        }
    }
    Ok(())
}

/// > multipart/byteranges [...] contains one or more body parts, each with its own Content-Type and Content-Range
/// > — RFC 9110, 14.6 <https://www.rfc-editor.org/rfc/rfc9110#section-14.6>
fn send_parts(
    options: &MountOptions,
    exchange: &Arc<Exchange>,
    stored: &Stored,
    parts: &[Range<u64>],
) -> Result<(), HeadError> {
    let boundary = boundary(stored);
    let intro = |part: &Range<u64>| {
        let mut text = format!("\r\n--{boundary}\r\n");
        if let Some(content_type) = &stored.description.content_type {
            text += &format!("content-type: {content_type}\r\n");
        }
        text + &format!("content-range: {}\r\n\r\n", content_range(part, stored.len))
    };
    let end = format!("\r\n--{boundary}--\r\n");
    let lengths = parts
        .iter()
        .map(|part| intro(part).len() as u64 + part.end - part.start);
    let length = lengths.sum::<u64>() + end.len() as u64;
    let mut description = stored.description.clone();
    description.content_type = Some(format!("multipart/byteranges; boundary={boundary}"));
    let mut head = heads::head(206, options, &description, &stored.validators)?;
    head.append(b"content-length", length.to_string().as_bytes())?;
    exchange.send(Reply::Head(head));
    for part in parts {
        let data = Bytes::from(intro(part));
        exchange.send(Reply::Data { data, last: false });
        exchange.send(piece(stored, part.clone(), false));
    }
    let data = Bytes::from(end);
    exchange.send(Reply::Data { data, last: true });
    Ok(())
}

/// 503 where too many requests wait for the disk.
pub(super) fn refuse_busy(exchange: &Exchange) {
    let answered = ResponseHead::new(503).and_then(|mut head| {
        if let Some(seconds) = retry_after(503) {
            head.append(b"retry-after", seconds.as_bytes())?;
        }
        plain(exchange, head, "Service unavailable")
    });
    if answered.is_err() {
        exchange.send(Reply::Abort);
    }
}

/// 405 for what is neither GET nor HEAD.
pub(super) fn refuse_method(exchange: &Exchange) {
    let answered = ResponseHead::new(405).and_then(|mut head| {
        // > The origin server MUST generate an Allow header field in a 405 response — RFC 9110, 15.5.6
        head.append(b"allow", b"GET, HEAD")?;
        plain(exchange, head, "")
    });
    if answered.is_err() {
        exchange.send(Reply::Abort);
    }
}

fn send_region(
    exchange: &Exchange,
    head: ResponseHead,
    stored: &Stored,
    part: Range<u64>,
    is_head: bool,
) {
    match &stored.content {
        _ if is_head || part.is_empty() => exchange.send_whole(head, Bytes::new()),
        Content::Memory(bytes) => exchange.send_whole(head, slice(bytes, &part)),
        Content::Disk(_) => {
            exchange.send(Reply::Head(head));
            exchange.send(piece(stored, part, true));
        }
    }
}

fn piece(stored: &Stored, part: Range<u64>, last: bool) -> Reply {
    match &stored.content {
        Content::Memory(bytes) => Reply::Data {
            data: slice(bytes, &part),
            last,
        },
        Content::Disk(file) => Reply::File {
            file: file.part(part.start, part.end),
            last,
        },
    }
}

fn slice(bytes: &Bytes, part: &Range<u64>) -> Bytes {
    let at = |position: u64| {
        usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    bytes.slice(at(part.start)..at(part.end))
}

fn plain(exchange: &Exchange, mut head: ResponseHead, body: &'static str) -> Result<(), HeadError> {
    head.append(b"content-length", body.len().to_string().as_bytes())?;
    exchange.send_whole(head, Bytes::from_static(body.as_bytes()));
    Ok(())
}

/// To the same path with a slash behind, so that links of the folder's page lead into the folder.
fn redirect(head: &RequestHead) -> Result<ResponseHead, HeadError> {
    // Two slashes in front would name a host.
    let path = head.path().trim_ascii_start();
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let mut location = b"/".to_vec();
    location.extend_from_slice(&path[slashes..]);
    location.push(b'/');
    if !head.query().is_empty() {
        location.push(b'?');
        location.extend_from_slice(head.query());
    }
    let mut head = ResponseHead::new(301)?;
    head.append(b"location", &location)?;
    Ok(head)
}

/// > Content-Range = range-unit SP ( range-resp / unsatisfied-range ) — RFC 9110, 14.4
fn content_range(part: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1))
}

/// A line that the file does not have in it, as far as its owner does not want it to.
fn boundary(stored: &Stored) -> String {
    let tag = stored.validators.etag.trim_matches('"');
    format!("granian-{tag}")
}
