//! `Expansion`: the pace of messages that inflate to a hundred times their size. Sixteen kilobytes become sixteen
//! megabytes, and cost the application more than the server can hold back in other ways.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// One per worker: such messages of all connections follow each other at `RATE`.
#[derive(Default)]
pub(crate) struct Expansion(Cell<Option<Instant>>);

impl Expansion {
    /// Takes note of a message of `inflated` bytes that came as `received` ones. The time until which its connection
    /// sends no further message, if it is one of those.
    pub(crate) fn note(&self, now: Instant, inflated: usize, received: usize) -> Option<Instant> {
        if inflated < SMALL || inflated / FACTOR < received {
            return None;
        }
        let since = self.0.get().map_or(now, |until| until.max(now));
        let cost = Duration::from_secs_f64(inflated as f64 / RATE);
        let until = (since + cost).min(now + LONGEST);
        self.0.set(Some(until));
        Some(until)
    }
}

/// Messages that become no larger than this are not looked at.
const SMALL: usize = 1024 * 1024;
/// Texts and tables are compressed to a tenth, rarely to a thirtieth.
const FACTOR: usize = 100;
/// Bytes a second.
const RATE: f64 = 32.0 * 1024.0 * 1024.0;
/// However many connections send such messages.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn they_follow_each_other() {
        let (expansion, now) = (Expansion::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(expansion.note(now, 32 * MIB, 32 * 1024), Some(now + second));
        assert_eq!(
            expansion.note(now, 16 * MIB, 16 * 1024),
            Some(now + second * 3 / 2)
        );
        let later = now + 4 * second;
        assert_eq!(
            expansion.note(later, 16 * MIB, 16 * 1024),
            Some(later + second / 2)
        );
        for _ in 0..100 {
            expansion.note(later, 16 * MIB, 16 * 1024);
        }
        assert_eq!(
            expansion.note(later, 16 * MIB, 16 * 1024),
            Some(later + LONGEST)
        );
    }

    #[test]
    fn small_ones_and_usual_ones_do_not_count() {
        let (expansion, now) = (Expansion::default(), Instant::now());
        assert_eq!(expansion.note(now, SMALL - 1, 1000), None);
        assert_eq!(expansion.note(now, 16 * MIB, 16 * MIB / FACTOR + 1), None);
        assert!(
            expansion
                .note(now, 16 * MIB, 16 * MIB / FACTOR - 1)
                .is_some()
        );
    }
}
