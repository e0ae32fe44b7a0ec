//! `Clock`: the time of day as lines of a log have it, made once a second.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// See the module's documentation. It reads the system's clock once a second, and is told of the moments in between.
#[derive(Default)]
pub struct Clock {
    second: Second,
    /// The moment at which the second began; `None` before the first one.
    began: Option<Instant>,
}

/// A second of local time.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Second {
    /// `2026-11-30 19:25:43 +0000`
    pub text: String,
    /// `2026-11-30T19:25:43`, to be followed by a fraction.
    pub iso: String,
    /// `+00:00`
    pub offset: String,
}

impl Clock {
    /// The second that `moment`, which has just been, is in, and the milliseconds that had passed of it.
    pub fn at(&mut self, moment: Instant) -> (&Second, u32) {
        let passed = match self.passed(moment) {
            Some(passed) if passed < SECOND => passed,
            _ => {
                self.renew();
                self.passed(moment).unwrap_or_default()
            }
        };
        (&self.second, passed.subsec_millis())
    }

    /// A moment before the second counts as its begin: somebody was faster with one behind it.
    fn passed(&self, moment: Instant) -> Option<Duration> {
        Some(moment.saturating_duration_since(self.began?))
    }

    fn renew(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        self.second = Second::new(now.as_secs());
        let fraction = Duration::from_nanos(now.subsec_nanos().into());
        self.began = Instant::now().checked_sub(fraction);
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
        let mut second = Self::default();
        let _ = write!(second.text, "{date} {time} {sign}{hours:02}{minutes:02}");
        let _ = write!(second.iso, "{date}T{time}");
        let _ = write!(second.offset, "{sign}{hours:02}:{minutes:02}");
        second
    }
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

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_made_once() {
        let mut clock = Clock::default();
        clock.at(Instant::now());
        let began = clock.began.unwrap();
        // It is told apart from a new one.
        clock.second.text.clear();
        assert_eq!(clock.at(began).1, 0);
        assert_eq!(clock.at(began + Duration::from_micros(999_999)).1, 999);
        let (second, millis) = clock.at(began - Duration::from_millis(5));
        assert_eq!((second.text.as_str(), millis), ("", 0));
    }

    #[test]
    fn seconds_follow_each_other() {
        let mut clock = Clock::default();
        let now = Instant::now();
        clock.at(now);
        clock.second.text.clear();
        clock.began = now.checked_sub(SECOND);
        let (second, millis) = clock.at(now);
        let told = second.text.clone();
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (this, former) = (real.as_secs(), real.as_secs() - 1);
        assert!(
            [this, former]
                .map(|at| Second::new(at).text)
                .contains(&told)
        );
        assert!(millis < 1000);
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
