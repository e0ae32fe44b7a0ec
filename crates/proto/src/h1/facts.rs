//! `Facts`: the fields of a request that are about the message itself: the length of the body, the
//! persistence of the connection, expectations and upgrades.

use super::target::is_host;
use crate::error::PeerError;
use crate::event::BodyLength;
use crate::field::{DecimalError, list, parse_decimal};
use crate::head::Version;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Facts {
    hosts: usize,
    content_length: Option<u64>,
    codings: usize,
    chunked_codings: usize,
    ends_chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
    expectation: Expectation,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Expectation {
    #[default]
    None,
    Continue,
    Unknown,
}

impl Facts {
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), PeerError> {
        match name {
            b"host" => {
                self.hosts += 1;
                if !is_host(value) {
                    return Err(PeerError::Host);
                }
            }
            b"content-length" => self.note_content_length(value)?,
            b"transfer-encoding" => {
                for coding in list(value) {
                    if coding.is_empty() {
                        return Err(PeerError::TransferEncoding);
                    }
                    self.codings += 1;
                    self.ends_chunked = coding.eq_ignore_ascii_case(b"chunked");
                    self.chunked_codings += usize::from(self.ends_chunked);
                }
            }
            b"connection" => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            b"upgrade" => self.upgrade_field |= !value.is_empty(),
            b"expect" => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                if !known {
                    self.expectation = Expectation::Unknown;
                } else if self.expectation == Expectation::None {
                    self.expectation = Expectation::Continue;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// > If a message is received without Transfer-Encoding and with an invalid Content-Length
    /// > header field, then the message framing is invalid and the recipient MUST treat it as an
    /// > unrecoverable error, unless the field value can be successfully parsed as a
    /// > comma-separated list [...] — RFC 9112, 6.3 <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
    ///
    /// The list is not made use of; equal lines are.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), PeerError> {
        let length = parse_decimal(value).map_err(|error| match error {
            DecimalError::Malformed => PeerError::ContentLength,
            DecimalError::TooLarge => PeerError::BodyTooLarge,
        })?;
        if self.content_length.is_some_and(|other| other != length) {
            return Err(PeerError::ContentLength);
        }
        self.content_length = Some(length);
        Ok(())
    }

    pub(super) fn body_length(&self, version: Version) -> Result<BodyLength, PeerError> {
        if self.codings == 0 {
            return Ok(match self.content_length {
                None | Some(0) => BodyLength::Empty,
                Some(length) => BodyLength::Sized(length),
            });
        }
        // > A server MAY reject a request that contains both Content-Length and Transfer-Encoding
        // > [...] A server or client that receives an HTTP/1.0 message containing a
        // > Transfer-Encoding header field MUST treat the message as if the framing is faulty
        // > [...] — RFC 9112, 6.1 <https://www.rfc-editor.org/rfc/rfc9112#section-6.1>
        //
        // > If a Transfer-Encoding header field is present in a request and the chunked transfer
        // > coding is not the final encoding, the message body length cannot be determined
        // > reliably; the server MUST respond with the 400 (Bad Request) status code
        // > — RFC 9112, 6.3
        //
        // > A sender MUST NOT apply the chunked transfer coding more than once to a message body
        // > — RFC 9112, 7.1
        let is_framed = version != Version::Http10
            && self.content_length.is_none()
            && self.ends_chunked
            && self.chunked_codings == 1;
        if !is_framed {
            return Err(PeerError::TransferEncoding);
        }
        // > A server that receives a request message with a transfer coding it does not understand
        // > SHOULD respond with 501 (Not Implemented). — RFC 9112, 6.1
        if self.codings > 1 {
            return Err(PeerError::Coding);
        }
        Ok(BodyLength::Chunked)
    }

    /// > A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
    /// > that lacks a Host header field and to any request message that contains more than one Host
    /// > header field line or a Host header field with an invalid field value.
    /// > — RFC 9112, 3.2 <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
    pub(super) fn check_host(&self, version: Version) -> Result<(), PeerError> {
        match self.hosts {
            1 => Ok(()),
            0 if version == Version::Http10 => Ok(()),
            _ => Err(PeerError::Host),
        }
    }

    /// > A server that receives an Expect field value containing a member other than 100-continue
    /// > MAY respond with a 417 (Expectation Failed) status code [...] A server that receives a
    /// > 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation.
    /// > — RFC 9110, 10.1.1 <https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1>
    pub(super) fn expects_continue(&self, version: Version) -> Result<bool, PeerError> {
        match self.expectation {
            Expectation::Unknown if version == Version::Http11 => Err(PeerError::Expectation),
            Expectation::Continue => Ok(version == Version::Http11),
            _ => Ok(false),
        }
    }

    /// > If the "close" connection option is present, the connection will not persist after the
    /// > current response; else, If the received protocol is HTTP/1.1 (or later), the connection
    /// > will persist after the current response; else, If the received protocol is HTTP/1.0, the
    /// > "keep-alive" connection option is present [...]
    /// > — RFC 9112, 9.3 <https://www.rfc-editor.org/rfc/rfc9112#section-9.3>
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.keep_alive)
    }

    /// > A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that
    /// > Upgrade field.
    /// > — RFC 9110, 7.8 <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>
    pub(super) fn offers_upgrade(&self, version: Version) -> bool {
        self.upgrade_option && self.upgrade_field && version == Version::Http11
    }
}
