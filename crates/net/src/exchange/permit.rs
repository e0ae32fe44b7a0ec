//! `CallPermit`: the permit of an exchange's call, from the call's begin to its end. It is lent while the call waits
//! for nothing but its peer, or a disk: neither peers that do nothing nor disks that do not answer keep others waiting.
//!
//! The bytes that a peer lets wait have a bound of all calls together. Beyond it a call keeps its permit, also when it
//! has ended, until its response has left: then `--backpressure` bounds them.

use super::{Exchange, State};
use crate::admission::queue::Permit;
use crate::budget::Loan;
use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct CallPermit {
    permit: Option<Permit>,
    /// By `Awaited`.
    awaits: [bool; 4],
    has_ended: bool,
    /// Bytes of the response that have not left.
    waiting: usize,
    /// For these bytes, while the permit is another one's.
    loan: Option<Loan>,
    /// The permit could be another one's, but for these bytes.
    is_kept: bool,
}

/// Something that a call waits for, and that costs this process nothing meanwhile.
#[derive(Clone, Copy)]
pub(super) enum Awaited {
    /// A look-up of a static file, which waits for a disk.
    File,
    /// More of the request's body.
    Body,
    /// Room for more of the response.
    Room,
    /// Room for what a `Source` makes next.
    Pull,
}

impl CallPermit {
    /// The call begins by this permit, which is its own until it ends, whatever becomes of the peer.
    pub(super) fn begin(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The application's thread begins the call.
    fn note_begun(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.note_begun();
        }
    }

    /// Notes whether the call waits for `awaited`.
    pub(super) fn set(&mut self, awaited: Awaited, is_awaited: bool) {
        let before = std::mem::replace(&mut self.awaits[awaited as usize], is_awaited);
        if before != is_awaited {
            self.settle();
        }
    }

    /// Notes that so many bytes of the response have not left.
    pub(super) fn set_waiting(&mut self, bytes: usize) {
        self.waiting = bytes;
        if self.is_kept || self.loan.is_some() {
            self.settle();
        }
    }

    /// Notes that nothing goes to the peer any more, nor comes from it.
    pub(super) fn cut_off(&mut self) {
        for awaited in [Awaited::Body, Awaited::Room, Awaited::Pull] {
            self.awaits[awaited as usize] = false;
        }
        self.waiting = 0;
        self.settle();
    }

    /// The permit itself, which the call does without from now on.
    #[must_use]
    pub(super) fn take(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    fn settle(&mut self) {
        let is_spare = self.has_ended || self.awaits.contains(&true);
        self.is_kept = is_spare && !self.is_affordable();
        if !is_spare || self.is_kept {
            self.loan = None;
            if let Some(permit) = &mut self.permit {
                permit.reclaim();
            }
        } else if self.has_ended {
            self.permit = None;
        } else if let Some(permit) = &mut self.permit {
            permit.lend();
        }
    }

    /// True if the bytes that wait are within the bound, and then notes them there.
    fn is_affordable(&mut self) -> bool {
        if self.waiting <= FREE {
            self.loan = None;
            return true;
        }
        match (&mut self.loan, &self.permit) {
            (Some(loan), _) => loan.resize(self.waiting),
            (None, Some(permit)) if permit.waiting().left() < self.waiting => return false,
            (None, Some(permit)) => self.loan = Some(permit.waiting().lend(self.waiting)),
            (None, None) => {}
        }
        true
    }
}

impl Exchange {
    /// The application's thread begins the call, for which the request was handed over.
    pub(crate) fn note_begun(&self) {
        lock(&self.state).permit.note_begun();
    }

    /// Notes whether the response waits for a thread to look for its file.
    pub(crate) fn set_file_awaited(&self, is_awaited: bool) {
        lock(&self.state).permit.set(Awaited::File, is_awaited);
    }

    /// Notes whether the rest of the response, which a source makes, waits for the peer.
    pub(crate) fn set_pull_awaited(&self, is_awaited: bool) {
        lock(&self.state).permit.set(Awaited::Pull, is_awaited);
    }
}

impl State {
    /// Gives the permit back: the call has ended. Once is enough.
    pub(super) fn give_back_permit(&mut self) {
        self.permit.has_ended = true;
        self.permit.waiting = self.room.bytes();
        self.permit.settle();
    }
}

/// Bytes that are not counted: each connection has buffers of that size anyway.
const FREE: usize = 64 * 1024;
