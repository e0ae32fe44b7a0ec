//! `Complaint`: a line of the log about a state that lasts; it does not fill the log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::waker::lock;

/// The time of the last line. Clones are the same complaint, of several threads.
#[derive(Clone, Default)]
pub(crate) struct Complaint(Arc<Mutex<Option<Instant>>>);

impl Complaint {
    /// True if the state, which is found at `now`, is to be told of: once a minute at most.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut last = lock(&self.0);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) > EVERY);
        if is_due {
            *last = Some(now);
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
