//! Bounds that connections of every protocol share.

use std::time::Duration;

/// Steps of one connection in a turn.
pub(crate) const STEPS_PER_TURN: usize = 32;
/// Requests, or transfers that go on, end or are dropped, between two looks at the clock.
pub(crate) const CALLS_PER_LOOK: u32 = 4;
/// Bytes of one read.
pub(crate) const READ_SIZE: usize = 16 * 1024;
/// Time that a head waits for its body, so that both leave in one write.
pub(crate) const HEAD_HOLD: Duration = Duration::from_millis(20);
/// Time that a connection waits for the peer's last bytes after its own side has ended.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
