//! The opening handshake: what the request must say, and what the answer says.
//! <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest, Sha1};

use super::deflate::Deflation;
use crate::error::{HeadError, PeerError};
use crate::field::{is_token, list};
use crate::head::{RequestHead, Version};
use crate::response::ResponseHead;

/// A valid request to open a WebSocket connection.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Sec-WebSocket-Accept; over HTTP/2 there is none.
    accept: Option<String>,
    protocols: Vec<String>,
    deflation: Option<Deflation>,
}

impl Handshake {
    /// Whether the request names this protocol in its Upgrade field.
    ///
    /// > An |Upgrade| header field containing the value "websocket", treated as an ASCII
    /// > case-insensitive value. — RFC 6455, 4.2.1
    pub fn is_offered(head: &RequestHead) -> bool {
        head.values(b"upgrade")
            .flat_map(list)
            .any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
    }

    /// Reads the request: an upgrade of HTTP/1.1, or an extended CONNECT of HTTP/2 (RFC 8441), of
    /// which the caller knows that it names this protocol. With `deflate`, messages may be
    /// compressed.
    ///
    /// # Errors
    /// The refusal, which is sent in place of an answer of the application.
    pub fn parse(head: &RequestHead, deflate: bool) -> Result<Self, PeerError> {
        let accept = match head.version() {
            Version::Http2 => None,
            Version::Http10 => return Err(PeerError::Handshake),
            Version::Http11 => {
                if head.method() != "GET" {
                    return Err(PeerError::Handshake);
                }
                Some(accept_of(head)?)
            }
        };
        // > A |Sec-WebSocket-Version| header field, with a value of 13.
        // > — RFC 6455, 4.2.1
        let mut versions = head.values(b"sec-websocket-version");
        if versions.next() != Some(b"13") || versions.next().is_some() {
            return Err(PeerError::WebSocketVersion);
        }
        let protocols = head
            .values(b"sec-websocket-protocol")
            .flat_map(list)
            .filter(|protocol| !protocol.is_empty());
        let mut offered = Vec::new();
        for protocol in protocols {
            if offered.len() == MAX_PROTOCOLS {
                return Err(PeerError::Handshake);
            }
            offered.push(String::from_utf8_lossy(protocol).into_owned());
        }
        let deflation = deflate
            .then(|| Deflation::negotiate(head.values(b"sec-websocket-extensions")))
            .flatten();
        Ok(Self {
            accept,
            protocols: offered,
            deflation,
        })
    }

    /// The subprotocols that the peer speaks, in order of preference.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// The parameters of compression; `None` if messages are not compressed.
    pub fn deflation(&self) -> Option<Deflation> {
        self.deflation
    }

    /// The head that accepts the connection, with `protocol` as its subprotocol.
    ///
    /// # Errors
    /// `HeadError::Value` if the subprotocol is no token.
    pub fn accept(&self, protocol: Option<&str>) -> Result<ResponseHead, HeadError> {
        let mut head = match &self.accept {
            Some(_) => ResponseHead::switching_protocols(),
            None => ResponseHead::new(200)?,
        };
        if let Some(accept) = &self.accept {
            head.append(b"sec-websocket-accept", accept.as_bytes())?;
        }
        if let Some(protocol) = protocol {
            if !is_token(protocol.as_bytes()) {
                return Err(HeadError::Value);
            }
            head.append(b"sec-websocket-protocol", protocol.as_bytes())?;
        }
        if let Some(deflation) = self.deflation {
            let answer = deflation.answer();
            head.append(b"sec-websocket-extensions", answer.as_bytes())?;
        }
        Ok(head)
    }
}

/// The answer that proves that the request was understood.
///
/// > A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16
/// > bytes in length. — RFC 6455, 4.2.1
fn accept_of(head: &RequestHead) -> Result<String, PeerError> {
    let mut keys = head.values(b"sec-websocket-key");
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(PeerError::Handshake);
    };
    let mut nonce = [0; 18];
    match LENIENT.decode_slice(key, &mut nonce) {
        Ok(16) => {}
        _ => return Err(PeerError::Handshake),
    }
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(STANDARD.encode(hash))
}

/// Base64 as other servers read it.
///
/// > decoders MAY chose to reject an encoding if the pad bits have not been set to zero
/// > — RFC 4648, 3.5 <https://www.rfc-editor.org/rfc/rfc4648#section-3.5>
///
/// Some clients make a key of 24 random characters; all that the answer needs is their text.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);
/// Subprotocols of one request. Each takes some dozens of bytes for as long as the connection lives, and two of the head.
const MAX_PROTOCOLS: usize = 100;
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::RequestHeadBuilder;

    fn head(version: Version, method: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut builder = RequestHeadBuilder::new(version, method, b"/chat");
        for (name, value) in fields {
            builder.append(name.as_bytes(), value.as_bytes());
        }
        builder.build()
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");

    #[test]
    fn example_of_the_rfc() {
        // RFC 6455, 1.3
        let protocols = ("sec-websocket-protocol", "chat, superchat");
        let more = ("sec-websocket-protocol", " ,mqtt,");
        let upgrade = ("upgrade", "h2c, WebSocket");
        let head = head(
            Version::Http11,
            "GET",
            &[KEY, VERSION, upgrade, protocols, more],
        );
        assert!(Handshake::is_offered(&head));
        let handshake = Handshake::parse(&head, true).unwrap();
        assert_eq!(handshake.protocols(), ["chat", "superchat", "mqtt"]);
        let answer = handshake.accept(Some("chat")).unwrap();
        assert_eq!(answer.status(), 101);
        let fields: Vec<_> = answer.fields().collect();
        let accept = (
            &b"sec-websocket-accept"[..],
            &b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..],
        );
        assert_eq!(fields, [accept, (b"sec-websocket-protocol", b"chat")]);
        assert_eq!(handshake.accept(Some("a b")).unwrap_err(), HeadError::Value);
    }

    #[test]
    fn refusals() {
        let parse = |version, method, fields: &[_]| {
            Handshake::parse(&head(version, method, fields), true).map(drop)
        };
        let (v11, bad) = (Version::Http11, Err(PeerError::Handshake));
        assert_eq!(parse(v11, "GET", &[KEY, VERSION]), Ok(()));
        assert_eq!(parse(Version::Http2, "CONNECT", &[VERSION]), Ok(()));
        let stray = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==");
        assert_eq!(parse(v11, "GET", &[stray, VERSION]), Ok(()));
        assert_eq!(parse(v11, "POST", &[KEY, VERSION]), bad);
        assert_eq!(parse(Version::Http10, "GET", &[KEY, VERSION]), bad);
        assert_eq!(parse(v11, "GET", &[VERSION]), bad);
        assert_eq!(parse(v11, "GET", &[KEY, KEY, VERSION]), bad);
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25j",
            "not base64 at all!!!!!!!",
            "dGhlIHNhbXBsZSBub25jZTE=",
        ] {
            assert_eq!(
                parse(v11, "GET", &[("sec-websocket-key", key), VERSION]),
                bad
            );
        }
        for version in ["12", "", "13, 8"] {
            let fields = [KEY, ("sec-websocket-version", version)];
            assert_eq!(parse(v11, "GET", &fields), Err(PeerError::WebSocketVersion));
        }
        assert_eq!(parse(v11, "GET", &[KEY]), Err(PeerError::WebSocketVersion));
    }

    #[test]
    fn subprotocols_are_few() {
        for count in [MAX_PROTOCOLS, MAX_PROTOCOLS + 1] {
            let protocols = "a,".repeat(count);
            let fields = [KEY, VERSION, ("sec-websocket-protocol", &*protocols)];
            let parsed = Handshake::parse(&head(Version::Http11, "GET", &fields), true);
            assert_eq!(parsed.is_ok(), count == MAX_PROTOCOLS);
        }
    }

    #[test]
    fn compression_is_agreed_on_if_wanted() {
        let offer = ("sec-websocket-extensions", "permessage-deflate");
        let head = head(Version::Http11, "GET", &[KEY, VERSION, offer]);
        assert!(Handshake::parse(&head, true).unwrap().deflation().is_some());
        assert!(
            Handshake::parse(&head, false)
                .unwrap()
                .deflation()
                .is_none()
        );
    }
}
