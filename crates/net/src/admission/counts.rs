//! `Counts`: the permits of a queue by number, and by the time when they were taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// See the module's documentation.
pub(super) struct Counts {
    /// Permits that are taken or promised, and not lent.
    pub(super) taken: usize,
    /// All permits that are taken or promised.
    pub(super) calls: usize,
    /// Permits taken in the present epoch, and in the one before.
    young: [Young; 2],
    epoch: u32,
    /// The start of the epoch.
    pub(super) began: Instant,
}

/// Permits of an epoch: of patient connections, and of others.
#[derive(Clone, Copy, Default)]
struct Young {
    patient: usize,
    usual: usize,
}

impl Young {
    fn of(&mut self, is_patient: bool) -> &mut usize {
        match is_patient {
            true => &mut self.patient,
            false => &mut self.usual,
        }
    }
}

/// The time of a permit, and the number of those that its connection holds, if that has one.
#[derive(Clone)]
pub(super) struct Holder {
    /// The connection was patient when it got the permit.
    is_patient: bool,
    held: Option<Arc<AtomicUsize>>,
    epoch: u32,
}

impl Counts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            taken: 0,
            calls: 0,
            young: Default::default(),
            epoch: 0,
            began: now,
        }
    }

    /// A permit is taken.
    pub(super) fn take(&mut self, held: Option<&Arc<AtomicUsize>>, is_patient: bool) -> Holder {
        let holder = Holder {
            is_patient,
            held: held.map(Arc::clone),
            epoch: self.epoch,
        };
        self.calls += 1;
        self.reclaim(&holder);
        holder
    }

    /// A permit is lent, or about to be given back.
    pub(super) fn lend(&mut self, holder: &Holder) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(count) = self.young_of(holder) {
            *count = count.saturating_sub(1);
        }
        if let Some(held) = &holder.held {
            held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A lent permit counts again.
    pub(super) fn reclaim(&mut self, holder: &Holder) {
        self.taken += 1;
        if let Some(count) = self.young_of(holder) {
            *count += 1;
        }
        if let Some(held) = &holder.held {
            held.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A permit, which is lent, is given back.
    pub(super) fn give_back(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// Begins a new epoch if one is over at `now`. Permits of this one and of the one before that count, of patient
    /// connections or of others.
    pub(super) fn young(&mut self, now: Instant, is_patient: bool) -> usize {
        self.turn_epoch(now);
        let [mut these, mut those] = self.young;
        *these.of(is_patient) + *those.of(is_patient)
    }

    fn turn_epoch(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < EPOCH {
            return;
        }
        let [these, _] = self.young;
        let (step, those) = match passed < 2 * EPOCH {
            true => (1, these),
            false => (2, Young::default()),
        };
        self.began = now;
        self.epoch = self.epoch.wrapping_add(step);
        self.young = [Young::default(), those];
    }

    /// The count of permits that includes the one of `holder`, if that is of the present epoch or of the one before.
    fn young_of(&mut self, holder: &Holder) -> Option<&mut usize> {
        let age = self.epoch.wrapping_sub(holder.epoch);
        let young = self.young.get_mut(age as usize)?;
        Some(young.of(holder.is_patient))
    }
}

/// Length of an epoch. A request that has run for one or two epochs does not count, since a long
/// request mostly waits for something.
pub(super) const EPOCH: Duration = Duration::from_millis(20);
