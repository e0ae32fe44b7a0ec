//! Close frames: the codes and reasons that may stand in one, and their bytes.

use bytes::Bytes;

/// The content of a Close frame.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CloseReason {
    /// The status code; `None` if the frame was empty.
    pub code: Option<u16>,
    /// Text for people who debug; valid UTF-8.
    pub text: Bytes,
}

/// Codes that this server sends, or reports without any frame saying so.
///
/// <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>
pub mod code {
    /// The purpose is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The server stops.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The Close frame has no code. Never sent.
    pub const NO_CODE: u16 = 1005;
    /// The connection was lost without a Close frame. Never sent.
    pub const ABNORMAL: u16 = 1006;
    /// Text is not UTF-8, or compressed data is broken.
    pub const INVALID_DATA: u16 = 1007;
    /// A message is larger than the limit.
    pub const TOO_BIG: u16 = 1009;
    /// The server can't go on.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// Another process takes this one's place: the client may connect again
    /// (<https://www.iana.org/assignments/websocket>).
    pub const SERVICE_RESTART: u16 = 1012;
    /// The server has too much to hold at present (see there).
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

/// Whether a Close frame may carry this code.
///
/// > 1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
/// > endpoint. — RFC 6455, 7.4.1 <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>
///
/// 1006 and 1015 are reserved in the same way, 1004 has no meaning yet, and 1012 to 1014 were
/// registered later (<https://www.iana.org/assignments/websocket>).
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// As much of `reason` as fits into a Close frame, cut between characters.
///
/// > All control frames MUST have a payload length of 125 bytes or less
/// > — RFC 6455, 5.5 <https://www.rfc-editor.org/rfc/rfc6455#section-5.5>
pub fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

impl CloseReason {
    /// Reads the payload of a Close frame; the error is the code of the answer.
    ///
    /// > If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in
    /// > network byte order) representing a status code — RFC 6455, 5.5.1
    pub(super) fn parse(payload: Bytes) -> Result<Self, (u16, &'static str)> {
        let [high, low, rest @ ..] = &payload[..] else {
            return match payload.len() {
                0 => Ok(Self::default()),
                _ => Err((code::PROTOCOL_ERROR, "close frame of one byte")),
            };
        };
        let number = u16::from_be_bytes([*high, *low]);
        if !is_sendable(number) {
            return Err((code::PROTOCOL_ERROR, "invalid close code"));
        }
        if std::str::from_utf8(rest).is_err() {
            return Err((code::INVALID_DATA, "close reason is not UTF-8"));
        }
        Ok(Self {
            code: Some(number),
            text: payload.slice(2..),
        })
    }
}

/// Bytes of a control frame's payload: Close, Ping and Pong.
///
/// > All control frames MUST have a payload length of 125 bytes or less — RFC 6455, 5.5
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;
const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
            assert!(is_sendable(code), "{code}");
        }
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535,
        ] {
            assert!(!is_sendable(code), "{code}");
        }
    }

    #[test]
    fn payloads() {
        let parse = |payload: &'static [u8]| CloseReason::parse(Bytes::from_static(payload));
        assert_eq!(parse(b""), Ok(CloseReason::default()));
        assert_eq!(parse(b"\x03").unwrap_err().0, 1002);
        assert_eq!(parse(b"\x03\xe8bye").unwrap().code, Some(1000));
        assert_eq!(&parse(b"\x03\xe8bye").unwrap().text[..], b"bye");
        assert_eq!(parse(b"\x03\xed").unwrap_err().0, 1002);
        assert_eq!(parse(b"\x03\xe8\xff").unwrap_err().0, 1007);
    }

    #[test]
    fn long_reasons_end_between_characters() {
        assert_eq!(fitting("short"), "short");
        assert_eq!(fitting(&"a".repeat(200)).len(), 123);
        assert_eq!(fitting(&"é".repeat(100)).len(), 122);
        assert_eq!(fitting(&"\u{1f600}".repeat(100)).len(), 120);
    }
}
