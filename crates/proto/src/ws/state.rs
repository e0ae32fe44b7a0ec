//! `State`: the states of a WebSocket connection and the legal moves between them.
//!
//! ```text
//!          send close               receive close, fail
//!   Open ─────────────▶ Closing ──────────────────────────▶ Closed
//!     │                                                        ▲
//!     └── receive close, fail ──▶ Answering ── send close ─────┘
//! ```
//! Messages go out until our Close does, and come in until theirs has.

/// The state of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    /// Our Close is out, theirs is awaited.
    Closing,
    /// Their side has ended, our Close is due.
    Answering,
    /// Nothing more goes in either direction.
    Closed,
}

impl State {
    /// Whether data and pings may be sent.
    pub(super) fn may_send(self) -> bool {
        matches!(self, Self::Open | Self::Answering)
    }

    /// Whether frames are looked at.
    pub(super) fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::Closing)
    }

    /// Our Close goes out. False if it may not.
    pub(super) fn send_close(&mut self) -> bool {
        *self = match self {
            Self::Open => Self::Closing,
            Self::Answering => Self::Closed,
            Self::Closing | Self::Closed => return false,
        };
        true
    }

    /// Their Close came, or something that ends the connection: nothing they send counts any more.
    pub(super) fn end_receiving(&mut self) {
        *self = match self {
            Self::Open | Self::Answering => Self::Answering,
            Self::Closing | Self::Closed => Self::Closed,
        };
    }

    /// Nothing more goes out.
    pub(super) fn cut(&mut self) {
        *self = Self::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Answering, Closed, Closing, Open};

    #[test]
    fn every_state_and_event() {
        for (state, sent, ended) in [
            (Open, Some(Closing), Answering),
            (Closing, None, Closed),
            (Answering, Some(Closed), Answering),
            (Closed, None, Closed),
        ] {
            let mut after = state;
            assert_eq!(after.send_close(), sent.is_some(), "{state:?}");
            assert_eq!(after, sent.unwrap_or(state), "{state:?}");
            let mut after = state;
            after.end_receiving();
            assert_eq!(after, ended, "{state:?}");
        }
    }
}
