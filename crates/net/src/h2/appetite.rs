//! `Appetite`: the bytes that a connection reads at once, by the time that those before took.
//!
//! The codec does all that it has read before the connection can look at the clock. 8 KiB may be one frame of a body, or
//! 390 requests that are refused, which take a quarter of a millisecond.

use std::time::Duration;

/// See the module's documentation.
pub(super) struct Appetite {
    bytes: usize,
    /// The slice's time when it was looked at last.
    looked: Duration,
}

impl Default for Appetite {
    fn default() -> Self {
        Self {
            bytes: LEAST,
            looked: Duration::ZERO,
        }
    }
}

impl Appetite {
    /// A slice begins.
    pub(super) fn begin(&mut self) {
        self.looked = Duration::ZERO;
    }

    /// The bytes of the read before are done, at this time of the slice.
    pub(super) fn note(&mut self, used: Duration) {
        let took = used.saturating_sub(self.looked);
        self.looked = used;
        if took > DEAR {
            self.bytes = (self.bytes / 2).max(LEAST);
        } else if took < DEAR / 4 {
            self.bytes = (self.bytes * 2).min(MOST);
        }
    }

    /// As much of `wanted` as may be read at once.
    pub(super) fn limit(&self, wanted: usize) -> usize {
        match self.bytes {
            MOST => wanted,
            bytes => wanted.min(bytes),
        }
    }
}

/// The time that the bytes of one read should take at most.
const DEAR: Duration = Duration::from_micros(60);
/// No smaller, however long that takes: fifty small requests. A connection begins with it.
const LEAST: usize = 1024;
/// As much as there is room for: the codec has 8 KiB mostly.
const MOST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_bytes_are_read_in_smaller_steps_and_cheap_ones_in_larger_ones() {
        let mut appetite = Appetite::default();
        let mut used = Duration::ZERO;
        let mut limits = Vec::new();
        appetite.begin();
        for cost in [61, 14, 14, 14, 14, 14, 14, 15, 60, 61, 61] {
            used += Duration::from_micros(cost);
            appetite.note(used);
            limits.push(appetite.limit(1 << 20) / 1024);
        }
        assert_eq!(limits, [1, 2, 4, 8, 16, 1024, 1024, 1024, 1024, 16, 8]);
        appetite.begin();
        appetite.note(Duration::from_micros(61));
        assert_eq!(
            (appetite.limit(1 << 20), appetite.limit(100)),
            (4 * 1024, 100)
        );
    }
}
