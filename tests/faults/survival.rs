//! A run that meets a fault, started in every possible way: it ends in time, with one line and the published status,
//! and everything is unchanged.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{self, Consul, Place, Ran, Run, SLACK, lines, sha256};

/// Of the runs that are to fail.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks all cases, many at a time: they mostly wait.
pub fn each<C: Sync>(cases: &[C], name: impl Fn(&C) -> String + Sync, check: impl Fn(&C) + Sync) {
    common::each(24, cases, name, check);
}

/// A run that is to fail: it ends within its time.
#[track_caller]
pub fn in_time(run: Run) -> Ran {
    let started = Instant::now();
    let ran = run.args(["--timeout", &humantime::format_duration(TIMEOUT).to_string()]).run();
    let took = started.elapsed();
    assert!(took < TIMEOUT + SLACK, "{took:?} with --timeout {TIMEOUT:?}: {}", ran.stderr);
    ran
}

/// All there is to see of the managed file and its surroundings.
#[derive(Debug, PartialEq)]
pub struct Sight {
    /// Bytes, inode, mode, times of change (of the inode too: not even touched).
    pub file: Option<(Vec<u8>, u64, u32, [i64; 4])>,
    pub beside: Vec<String>,
    pub runs: Vec<String>,
}

pub fn look(place: &Place) -> Sight {
    let file = std::fs::metadata(place.file()).ok().map(|is| {
        let bytes = std::fs::read(place.file()).unwrap();
        (bytes, is.ino(), is.mode(), [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()])
    });
    Sight { file, beside: place.names(), runs: place.runs() }
}

/// All of a key in Consul, indexes included.
pub fn in_consul(place: &Place) -> Vec<u8> {
    place.consul.http("GET", &format!("/v1/kv/{}?recurse", place.kv("")), b"").unwrap().1
}

/// `kvx-out` with a handler, by way of this address.
pub fn kvx_out(place: &Place, address: &str) -> Run {
    place.kvx_out().args(["-s", address, "-e", &place.handler()])
}

/// `kvx-in` by way of this address.
pub fn kvx_in(place: &Place, address: &str) -> Run {
    place.kvx_in().args(["-s", address])
}

/// How `kvx-out` is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// There is no file yet.
    First,
    /// An older document is installed.
    Again,
    /// The same, by a watch that says that there is a newer one.
    Fired,
    /// To stdout.
    Printed,
}

/// Runs `kvx-out` into a fault, in one of its ways. A newer document waits in Consul, unless `fault` does away with it.
/// Nothing may happen to the file; and once the fault is over (`mend`), the same command installs and reloads, once.
pub fn survives(
    way: Way,
    consul: &Arc<Consul>,
    fault: impl Fn(&Place) -> String,
    mend: impl Fn(&Place),
    failed: impl Fn(&Place, Ran),
) {
    let place = Place::at(consul.clone());
    let folder = format!("kvexpress/{}", place.key);
    if matches!(way, Way::Again | Way::Fired) {
        consul.put_pair(&folder, lines(20));
        kvx_out(&place, &consul.address).run().expect(0);
        assert_eq!((place.content(), place.runs().len()), (lines(20), 1));
    }
    consul.put_pair(&folder, lines(30));
    // What a watch would bring, without starting one for each of hundreds of cases.
    let payload = (way == Way::Fired).then(|| consul.entry(&place.kv("checksum")).unwrap().to_string());
    let address = fault(&place);
    let before = look(&place);
    let run = match way {
        Way::Printed => Run::new("kvx-out", &address).args(["-k", &place.key, "-f", "-"]),
        _ => kvx_out(&place, &address),
    };
    let ran = in_time(payload.iter().fold(run.args(["--max-size", "64K"]), |run, payload| run.payload(payload)));
    assert_eq!(ran.out(), "", "nothing unverified on stdout");
    assert_eq!(look(&place), before);
    assert!(ran.stderr.starts_with("kvx-out: ") && ran.stderr.contains(&place.key), "{}", ran.stderr);
    if way != Way::Printed {
        assert!(ran.stderr.contains(place.file().to_str().unwrap()), "the file is named: {}", ran.stderr);
    }
    failed(&place, ran);

    mend(&place);
    let runs = place.runs().len();
    kvx_out(&place, &consul.address).run().expect(0);
    assert_eq!((place.content(), place.runs().len()), (lines(30), runs + 1), "afterwards");
    assert_eq!(place.names(), ["hosts"]);
}

/// Each case in each way.
pub fn in_all_ways<C>(cases: Vec<C>) -> Vec<(Arc<C>, Way)> {
    let cases = cases.into_iter().map(Arc::new);
    cases.flat_map(|case| ALL.map(|way| (case.clone(), way))).collect()
}

pub const ALL: [Way; 4] = [Way::First, Way::Again, Way::Fired, Way::Printed];

/// As messages show a checksum.
pub fn short(document: impl AsRef<[u8]>) -> String {
    format!("{}…", &sha256(document)[..8])
}

/// 450 KB: too large for a transaction.
pub fn large(seed: u32) -> String {
    (0..45_000).map(|line| format!("{:09}\n", line + seed)).collect()
}
