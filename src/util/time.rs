//! Deadlines, and the waits between tries.

use std::time::{Duration, Instant, SystemTime};

use nix::poll::PollTimeout;

/// The end of somebody's patience.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline this long from now.
    pub fn within(limit: Duration) -> Deadline {
        Deadline { started: Instant::now(), limit }
    }

    /// What is spent.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What is left; zero once it is over.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// What is spent, for people: in whole milliseconds up to a second, then in whole seconds.
    pub fn spent(&self) -> impl std::fmt::Display + use<> {
        let spent = self.started.elapsed();
        humantime::format_duration(match spent.as_secs() {
            0 => Duration::from_millis(u64::from(spent.subsec_millis())),
            seconds => Duration::from_secs(seconds),
        })
    }

    /// What is left, for poll(2): rounded up, so that it does not spin through the last millisecond.
    pub fn for_poll(&self) -> PollTimeout {
        PollTimeout::try_from(self.left().saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX)
    }

    /// How long it was from the start.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

/// Now, in seconds since 1970.
pub fn seconds_now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// A time in UTC, to the second, for people: `2026-11-27T14:02:11Z`.
///
/// One before 1970 or after the year 9999, as a wrong clock or file may have it, is `unknown`: humantime panics at the one and
/// fails to print the other.
pub fn rfc3339(time: SystemTime) -> String {
    written(time, |time| printed(humantime::format_rfc3339_seconds(time)))
}

/// The same to the millisecond.
pub fn rfc3339_millis(time: SystemTime) -> String {
    written(time, |time| printed(humantime::format_rfc3339_millis(time)))
}

/// How long ago that was, for people, in its largest unit: `40s ago`, `3h ago`. A time to come is `0s ago`.
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

/// Unlike `to_string`, without a panic where it fails.
fn printed(time: impl std::fmt::Display) -> Option<String> {
    let mut text = String::new();
    std::fmt::write(&mut text, format_args!("{time}")).ok().map(|()| text)
}

/// What a last try may take.
const LAST_TRY: Duration = Duration::from_millis(50);

/// Waits that grow from try to try, with full jitter (a random share of the whole), so that a thousand nodes that failed
/// together do not come back together.
#[derive(Debug)]
pub struct Backoff {
    ceiling: Duration,
    most: Duration,
}

impl Backoff {
    /// Waits of at most `first`, then twice that, and so on up to `most`.
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { ceiling: first, most }
    }

    /// Sleeps before the next try, of which there is always one at the end; false, at once, where there is no time for it.
    #[must_use]
    pub fn sleep(&mut self, deadline: Deadline, random: &Random) -> bool {
        let wait = random.up_to(self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.most);
        let left = deadline.left().saturating_sub(LAST_TRY);
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(wait.min(left));
        true
    }
}

/// Chance, for jitter only.
#[derive(Debug)]
pub struct Random(std::cell::Cell<u64>);

impl Random {
    /// The same seed gives the same chances.
    pub fn seeded(seed: u64) -> Random {
        Random(std::cell::Cell::new(seed))
    }

    fn up_to(&self, most: Duration) -> Duration {
        let mut rng = fastrand::Rng::with_seed(self.0.get());
        let wait = most.mul_f64(rng.f64());
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
