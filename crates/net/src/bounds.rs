//! Bounds that connections of every protocol share.

use std::time::Duration;

/// Steps of one connection in a turn.
pub(crate) const STEPS_PER_TURN: usize = 32;
/// Bytes of one read.
pub(crate) const READ_SIZE: usize = 16 * 1024;
/// Time that a head waits for its body, so that both leave in one write.
pub(crate) const HEAD_HOLD: Duration = Duration::from_millis(20);
/// Time that a connection waits for the peer's last bytes after its own side has ended.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The `retry-after` field of an answer that the server gives in the application's place, in seconds: an overloaded
/// worker names the shortest time.
///
/// > When sent with a 503 (Service Unavailable) response, Retry-After indicates how long the service is expected to be
/// > unavailable to the client. — RFC 9110, 10.2.3 <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
pub(crate) fn retry_after(status: u16) -> Option<&'static str> {
    (status == 503).then_some("1")
}
