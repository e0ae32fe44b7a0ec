//! `CallPermit`: the permit of an exchange's call, from the call's begin to its end. It is lent while the call waits
//! for nothing but its peer, whose bytes are bounded elsewhere: peers that neither read nor write keep nobody waiting.

use super::Exchange;
use crate::admission::queue::Permit;
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct CallPermit {
    permit: Option<Permit>,
    /// By `Awaited`.
    awaits: [bool; 3],
}

/// Something that a call waits for, and that only its peer can bring.
#[derive(Clone, Copy)]
pub(super) enum Awaited {
    /// More of the request's body.
    Body,
    /// Room for more of the response.
    Room,
    /// Room for what a `Source` makes next.
    Pull,
}

impl CallPermit {
    /// Notes whether the call waits for `awaited`.
    pub(super) fn set(&mut self, awaited: Awaited, is_awaited: bool) {
        let before = std::mem::replace(&mut self.awaits[awaited as usize], is_awaited);
        if before == is_awaited {
            return;
        }
        let is_lent = self.awaits.contains(&true);
        if let Some(permit) = &mut self.permit {
            match is_lent {
                true => permit.lend(),
                false => permit.reclaim(),
            }
        }
    }

    /// Notes that the call waits for nothing any more.
    pub(super) fn clear(&mut self) {
        self.set(Awaited::Body, false);
        self.set(Awaited::Room, false);
        self.set(Awaited::Pull, false);
    }

    /// The permit itself, which the call does without from now on.
    #[must_use]
    pub(super) fn take(&mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Exchange {
    /// The application is about to be called, by this permit. It is the call's until that ends, whatever becomes of
    /// the peer.
    pub(crate) fn begin_call(&self, permit: Permit) {
        lock(&self.state).permit.permit = Some(permit);
    }

    /// Gives the permit back: the call has ended. Once is enough.
    pub fn give_back_permit(&self) {
        let permit = lock(&self.state).permit.take();
        drop(permit); // outside the lock: it wakes the next one
    }

    /// Notes whether the rest of the response, which a source makes, waits for the peer.
    pub(crate) fn set_pull_awaited(&self, is_awaited: bool) {
        lock(&self.state).permit.set(Awaited::Pull, is_awaited);
    }
}
