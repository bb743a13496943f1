//! `--splay`: delay each node by a different time, so that not all nodes change at once.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::layout::keys::Subject;

/// Sleeps for this node's part of the splay.
pub(super) fn sleep(splay: Duration, subject: &Subject, context: &Context) {
    let share = share(splay, &context.env.hostname(), &subject.to_string());
    let (delay, maximum) = (rounded(share), rounded(splay));
    context.progress(|| format!("{subject}: waiting {delay} (of {maximum}, --splay)"));
    std::thread::sleep(share);
}

/// Derived from host name and key: the same on every run, and evenly distributed over hosts and keys.
fn share(splay: Duration, hostname: &str, key: &str) -> Duration {
    let digest: [u8; 32] = Sha256::digest(format!("{hostname}\0{key}")).into();
    let [a, b, c, d, ..] = digest;
    splay.mul_f64(f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX))
}

fn rounded(duration: Duration) -> impl std::fmt::Display {
    humantime::format_duration(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::share;

    #[test]
    fn hosts_are_spread_evenly_each_always_the_same() {
        let minute = Duration::from_secs(60);
        let shares: Vec<Duration> = (0..1188).map(|n| share(minute, &format!("node-{n}"), "hosts")).collect();
        for second in 0..6 {
            let (from, to) = (Duration::from_secs(second * 10), Duration::from_secs(second * 10 + 10));
            let here = shares.iter().filter(|share| (from..to).contains(share)).count();
            assert!((150..250).contains(&here), "{here} of 1188 nodes within {from:?}..{to:?}");
        }
        assert!(shares.iter().all(|share| *share <= minute));
        assert_eq!(share(minute, "node-7", "hosts"), share(minute, "node-7", "hosts"));
    }
}
