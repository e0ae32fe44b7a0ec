//! `Redirect`: the application of a plain listener beside a secured one. Every request is answered
//! with the same target's `https` URI.

use std::sync::Arc;

use bytes::Bytes;
use granian_proto::{RequestHead, ResponseHead};

use crate::exchange::app::{App, Journal, Request, Source};
use crate::exchange::record::{Interest, Record};

/// See the module's documentation.
pub struct Redirect {
    /// The port of the secured listener, as clients reach it.
    port: u16,
    /// The application's.
    journal: Arc<dyn Journal>,
}

impl Redirect {
    /// Redirects every request to `port` of the host that it names. Answers are noted in `journal`.
    pub fn new(port: u16, journal: Arc<dyn Journal>) -> Self {
        Self { port, journal }
    }

    /// The URI of `head`'s target; `None` if it has none.
    fn location(&self, head: &RequestHead) -> Option<Vec<u8>> {
        let authority = match head.authority() {
            Some(authority) => authority.as_bytes(),
            None => head.field(b"host")?,
        };
        let host = host(authority)?;
        // The target `*` has no URI, and CONNECT has only a host.
        if !head.path().starts_with(b"/") || head.method() == "CONNECT" {
            return None;
        }
        let mut location = b"https://".to_vec();
        location.extend_from_slice(host);
        if self.port != DEFAULT_PORT {
            location.extend_from_slice(format!(":{}", self.port).as_bytes());
        }
        location.extend_from_slice(head.path());
        if !head.query().is_empty() {
            location.push(b'?');
            location.extend_from_slice(head.query());
        }
        Some(location)
    }
}

impl App for Redirect {
    fn may_start(&self) -> bool {
        true
    }

    fn call(&self, request: Request) -> Option<Box<dyn Source>> {
        let response = match self.location(request.head()) {
            Some(location) => {
                // > [...] the user agent MUST NOT change the request method — RFC 9110, 15.4.9
                let head = ResponseHead::new(308);
                head.and_then(|mut head| head.append(b"location", &location).map(|()| head))
            }
            None => ResponseHead::new(400),
        };
        // An error means that the target has bytes that a field value may not have.
        let response = response.or_else(|_| ResponseHead::new(400));
        if let Ok(mut head) = response {
            let _ = head.append(b"content-length", b"0");
            request.exchange.send_whole(head, Bytes::new());
        }
        request.exchange.end_call(self);
        None
    }

    fn journal(&self) -> &dyn Journal {
        self
    }
}

/// Errors of this listener get no line of log: the secured one reports the same shortages.
impl Journal for Redirect {
    fn interest(&self) -> Option<Interest> {
        self.journal.interest()
    }

    fn answered(&self, record: &Record<'_>) {
        self.journal.answered(record);
    }
}

/// The host of an authority without its port, if it is a name or an address. Any other text is
/// refused, since an attacker may have made a client send it, and caches show the answer to others.
fn host(authority: &[u8]) -> Option<&[u8]> {
    let end = match authority.first()? {
        b'[' => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_host = match host {
        [b'[', address @ .., b']'] => std::str::from_utf8(address)
            .is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        _ => host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')),
    };
    let is_sane = is_port && is_host && !host.is_empty() && host.len() <= MAX_HOST;
    is_sane.then_some(host)
}

/// The default port of `https` (RFC 9110, 4.2.2).
const DEFAULT_PORT: u16 = 443;
/// Longest name in the DNS (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;
