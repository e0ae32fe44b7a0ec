//! What the connections of every protocol allow themselves.

use std::time::Duration;

/// One connection's share of a turn.
pub(crate) const STEPS_PER_TURN: usize = 32;
/// Bytes that are read at a time.
pub(crate) const READ_SIZE: usize = 16 * 1024;
/// How long a head waits for the body that usually follows at once.
pub(crate) const HEAD_HOLD: Duration = Duration::from_millis(20);
/// How long the peer's last bytes are waited for after our side has ended.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
