//! `Clock`: the time of day as lines of a log have it, made once a second.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Default)]
pub struct Clock {
    /// Threads of the application end requests, too.
    last: Mutex<Option<Arc<Second>>>,
    /// A few milliseconds late is soon enough.
    is_coarse: bool,
}

/// A second of local time.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Second {
    since_epoch: u64,
    /// `2026-11-30 19:25:43 +0000`
    pub text: String,
    /// `2026-11-30T19:25:43`, to be followed by a fraction.
    pub iso: String,
    /// `+00:00`
    pub offset: String,
}

impl Clock {
    /// For whole seconds: up to a few milliseconds late, and cheaper to ask.
    pub fn coarse() -> Self {
        Self {
            is_coarse: true,
            ..Self::default()
        }
    }

    /// The second of now, and the milliseconds that have passed of it.
    pub fn now(&self) -> (Arc<Second>, u32) {
        let now = match self.is_coarse {
            true => coarse(),
            false => exact(),
        };
        let mut last = lock(&self.last);
        if let Some(second) = &*last
            && second.since_epoch == now.as_secs()
        {
            return (Arc::clone(second), now.subsec_millis());
        }
        let second = Arc::new(Second::new(now.as_secs()));
        *last = Some(Arc::clone(&second));
        (second, now.subsec_millis())
    }
}

impl Second {
    fn new(since_epoch: u64) -> Self {
        let (date, time, offset) = local(since_epoch);
        let (sign, minutes) = (
            if offset < 0 { '-' } else { '+' },
            offset.unsigned_abs() / 60,
        );
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let mut second = Self {
            since_epoch,
            ..Self::default()
        };
        let _ = write!(second.text, "{date} {time} {sign}{hours:02}{minutes:02}");
        let _ = write!(second.iso, "{date}T{time}");
        let _ = write!(second.offset, "{sign}{hours:02}:{minutes:02}");
        second
    }
}

/// Since the epoch.
fn exact() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// The same as of the kernel's last tick.
#[cfg(target_os = "linux")]
fn coarse() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn coarse() -> Duration {
    exact()
}

/// Date, time of day, and seconds east of Greenwich.
fn local(since_epoch: u64) -> (String, String, libc::c_long) {
    let time = libc::time_t::try_from(since_epoch).unwrap_or_default();
    // SAFETY: `tm` is a plain struct of numbers and a pointer, for which zeros are a value; the call reads one of its
    // arguments and writes the other.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const time, &raw mut tm);
        tm
    };
    (
        format!(
            "{:04}-{:02}-{:02}",
            tm.tm_year + 1900,
            tm.tm_mon + 1,
            tm.tm_mday
        ),
        format!("{:02}:{:02}:{:02}", tm.tm_hour, tm.tm_min, tm.tm_sec),
        tm.tm_gmtoff,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_made_once() {
        let clock = Clock::default();
        let (first, _) = clock.now();
        let (second, millis) = clock.now();
        assert!(Arc::ptr_eq(&first, &second) || first != second);
        assert!(millis < 1000);
    }

    #[test]
    fn a_coarse_clock_is_late_and_not_early() {
        let late = coarse();
        assert!(late <= exact());
        assert!(Clock::coarse().now().0.since_epoch >= late.as_secs());
    }

    #[test]
    fn forms() {
        let second = Second::new(1_000_000_000);
        assert_eq!(second.text.len(), "2001-09-09 01:46:40 +0000".len());
        assert!(second.text.starts_with("2001-09-09 ") || second.text.starts_with("2001-09-08 "));
        assert_eq!(second.iso, second.text[..19].replace(' ', "T"));
        assert_eq!(second.offset.replace(':', ""), second.text[20..]);
    }
}
