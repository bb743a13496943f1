//! Deadlines, times for messages, and the delays between retries.

use std::time::{Duration, Instant, SystemTime};

use nix::poll::PollTimeout;

/// A limit of time that begins when it is created.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline after this time from now.
    pub fn within(limit: Duration) -> Deadline {
        Deadline { started: Instant::now(), limit }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The remaining time; zero after the deadline.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// The time since the start for messages: in milliseconds below one second, otherwise in seconds.
    pub fn spent(&self) -> impl std::fmt::Display + use<> {
        let spent = self.started.elapsed();
        humantime::format_duration(match spent.as_secs() {
            0 => Duration::from_millis(u64::from(spent.subsec_millis())),
            seconds => Duration::from_secs(seconds),
        })
    }

    /// The remaining time for poll(2). It is rounded up, so that a loop does not spin during the last millisecond.
    pub fn for_poll(&self) -> PollTimeout {
        PollTimeout::try_from(self.left().saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX)
    }

    /// The full time from the start to the deadline.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

/// The current time in seconds since 1970; 0 if the clock is before that.
pub fn seconds_now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// A time in UTC to the second, for messages: `2026-11-27T14:02:11Z`.
///
/// The result is `unknown` before 1970 and after the year 9999, which a wrong clock or a damaged file can give:
/// humantime panics in the first case and fails in the second.
pub fn rfc3339(time: SystemTime) -> String {
    written(time, |time| printed(humantime::format_rfc3339_seconds(time)))
}

/// Like [`rfc3339`], to the millisecond.
pub fn rfc3339_millis(time: SystemTime) -> String {
    written(time, |time| printed(humantime::format_rfc3339_millis(time)))
}

/// A time in milliseconds since 1970, until the end of the year 9999. It is printed as `2026-11-27T14:02:11.123Z`, so
/// that the texts have the order of the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last millisecond of the year 9999.
    const LAST: u64 = 253_402_300_799_999;

    /// The current time, by this machine's clock.
    pub fn now() -> Timestamp {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time that many milliseconds after the start of 1970.
    pub fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis.min(Timestamp::LAST))
    }

    /// Parses a time as it is printed. No other form counts.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let since = humantime::parse_rfc3339(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let time = Timestamp::from_millis(u64::try_from(since.as_millis()).ok()?);
        (time.to_string() == text).then_some(time)
    }

    /// A later time.
    #[must_use]
    pub fn plus(self, time: Duration) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// An earlier time.
    #[must_use]
    pub fn minus(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How many times this unit has passed since the start of 1970.
    pub fn in_units_of(self, unit: Duration) -> u64 {
        let unit = u64::try_from(unit.as_millis()).unwrap_or(u64::MAX);
        self.0.checked_div(unit).unwrap_or(0)
    }

    /// As the system's time.
    pub fn as_system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.0)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_rfc3339_millis(self.as_system_time()).fmt(f)
    }
}

/// The age of a time for messages, in its largest unit: `40s ago`, `3h ago`. A time in the future is `0s ago`.
pub fn ago(time: SystemTime) -> String {
    let seconds = time.elapsed().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s ago"),
        120..7_200 => format!("{}m ago", seconds / 60),
        7_200..172_800 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

fn written(time: SystemTime, print: impl FnOnce(SystemTime) -> Option<String>) -> String {
    Some(time).filter(|time| *time >= SystemTime::UNIX_EPOCH).and_then(print).unwrap_or_else(|| "unknown".into())
}

/// Like `to_string`, but without a panic if formatting fails.
fn printed(time: impl std::fmt::Display) -> Option<String> {
    let mut text = String::new();
    std::fmt::write(&mut text, format_args!("{time}")).ok().map(|()| text)
}

/// The time that is reserved for the last attempt before the deadline.
const LAST_ATTEMPT: Duration = Duration::from_millis(50);

/// Exponential backoff with full jitter: each delay is random between zero and a growing maximum. A thousand nodes that
/// failed at the same time therefore retry at different times.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
    max: Duration,
}

impl Backoff {
    /// Delays of at most `first`, then twice that, and so on up to `max`.
    pub fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { ceiling: first, max }
    }

    /// Sleeps before the next attempt. It ends early enough for a last attempt before the deadline. Returns false at
    /// once if there is no time for another attempt.
    #[must_use]
    pub fn sleep(&mut self, deadline: Deadline, random: &Random) -> bool {
        let wait = random.up_to(self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        let left = deadline.left().saturating_sub(LAST_ATTEMPT);
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(wait.min(left));
        true
    }
}

/// Pseudorandom numbers, for delays only.
#[derive(Debug)]
pub struct Random(std::cell::Cell<u64>);

impl Random {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Random {
        Random(std::cell::Cell::new(seed))
    }

    fn up_to(&self, max: Duration) -> Duration {
        let mut rng = fastrand::Rng::with_seed(self.0.get());
        let wait = max.mul_f64(rng.f64());
        self.0.set(rng.get_seed());
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_printed_is_unknown() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        assert_eq!(at(1_795_788_131).map(rfc3339).as_deref(), Some("2026-11-27T14:02:11Z"));
        assert_eq!(at(253_402_300_800).map(rfc3339).as_deref(), Some("unknown"));
        let before = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1));
        assert_eq!(before.map(rfc3339_millis).as_deref(), Some("unknown"));
    }
}
