//! `Complaint`: a line of the log about a state that lasts; it does not fill the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The time of the last line.
#[derive(Default)]
pub(crate) struct Complaint(Cell<Option<Instant>>);

impl Complaint {
    /// True if the state, which is found at `now`, is to be told of: once a minute at most.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let last = self.0.get();
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) > EVERY);
        if is_due {
            self.0.set(Some(now));
        }
        is_due
    }
}

const EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute() {
        let (complaint, start) = (Complaint::default(), Instant::now());
        assert!(complaint.is_due(start));
        assert!(!complaint.is_due(start + EVERY));
        assert!(complaint.is_due(start + EVERY + Duration::from_secs(1)));
        assert!(!complaint.is_due(start + 2 * EVERY));
    }
}
