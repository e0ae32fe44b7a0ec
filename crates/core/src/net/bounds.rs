//! What the connections of every protocol allow themselves.

use std::time::Duration;

/// One connection's share of a turn.
pub(super) const STEPS_PER_TURN: usize = 32;
/// Bytes that are read at a time.
pub(super) const READ_SIZE: usize = 16 * 1024;
/// How long a head waits for the body that usually follows at once.
pub(super) const HEAD_HOLD: Duration = Duration::from_millis(20);
/// How long the peer's last bytes are waited for after our side has ended.
pub(super) const LINGER: Duration = Duration::from_secs(2);
