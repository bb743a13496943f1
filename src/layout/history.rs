//! The history of a key: the names of its versions, and which of them are kept. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::record;
use crate::document::Checksum;
use crate::util::time::Timestamp;

/// How many versions an upload keeps (`--keep`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The history is neither read nor changed.
    Nothing,
    /// The newest ones, this many at least.
    Newest(usize),
    /// All of them: nothing is removed.
    All,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep::Newest(20)
    }
}

/// Minimum of [`Keep::Newest`]: the current version, and the one that it replaced.
pub const MIN_KEEP: usize = 2;

/// For how many hours the newest version of each hour is kept, besides the newest ones.
const HOURS: u64 = 24;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The name of a version: `<time>-<checksum>`. Names are ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionName {
    /// When the version was uploaded.
    pub time: Timestamp,
    /// The checksum of its document.
    pub checksum: Checksum,
}

impl VersionName {
    /// Parses a name as it is printed. No other form counts.
    pub fn parse(text: &str) -> Option<VersionName> {
        let (time, checksum) = text.rsplit_once('-')?;
        let name = VersionName { time: Timestamp::parse(time)?, checksum: Checksum::parse(checksum.as_bytes())? };
        (name.to_string() == text).then_some(name)
    }

    /// The version with this path, if it is one of this folder: Consul lists the versions of `KEY/more` with those of `KEY`.
    pub fn in_folder(folder: &str, path: &str) -> Option<VersionName> {
        VersionName::parse(path.strip_prefix(folder)?.strip_prefix('/')?)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VersionName { time, checksum } = self;
        write!(f, "{time}-{checksum}")
    }
}

/// The names of a key's versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order of their times. Those that are too far ahead come first: they are the first to be removed.
    names: Vec<VersionName>,
    /// How many of them are too far ahead.
    ahead: usize,
}

impl History {
    /// The versions of this folder among these paths.
    pub fn of<'a>(folder: &str, paths: impl IntoIterator<Item = &'a str>, now: Timestamp) -> History {
        History::new(paths.into_iter().filter_map(|path| VersionName::in_folder(folder, path)), now)
    }

    /// These versions.
    pub fn new(names: impl IntoIterator<Item = VersionName>, now: Timestamp) -> History {
        let horizon = record::horizon(now);
        let mut names: Vec<VersionName> = names.into_iter().collect();
        names.sort_unstable_by_key(|name| (name.time <= horizon, *name));
        names.dedup();
        let ahead = names.iter().filter(|name| name.time > horizon).count();
        History { names, ahead }
    }

    /// All versions. Those that are too far ahead come first.
    pub fn all(&self) -> &[VersionName] {
        &self.names
    }

    /// The versions whose times count, the oldest first.
    pub fn names(&self) -> &[VersionName] {
        self.names.get(self.ahead..).unwrap_or_default()
    }

    /// The newest version.
    pub fn newest(&self) -> Option<VersionName> {
        self.names().last().copied()
    }

    /// The times of all versions, also of those that are too far ahead to count.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.names.iter().map(|name| name.time)
    }

    /// Whether a version has this document.
    pub fn has(&self, checksum: Checksum) -> bool {
        self.names.iter().any(|name| name.checksum == checksum)
    }

    /// What to remove when these versions are added: at most `limit` entries, the oldest versions first.
    ///
    /// Kept are the added versions, the newest `keep` of all, and the newest of each of the last 24 hours (of the clock, in
    /// UTC, the current one included). A document is removed with the last version that has it.
    pub fn outdated(&self, added: &[VersionName], keep: usize, now: Timestamp, limit: usize) -> Outdated {
        let all = History::new(self.names.iter().chain(added).copied(), now);
        let kept = all.kept(added, keep, now);
        let mut remaining: Vec<Checksum> = all.names.iter().map(|name| name.checksum).collect();
        let mut outdated = Outdated::default();
        for name in all.names.iter().filter(|name| !kept.contains(name)) {
            let at = remaining.iter().position(|checksum| *checksum == name.checksum);
            at.map(|at| remaining.swap_remove(at));
            let is_last = !remaining.contains(&name.checksum);
            let entries = if is_last { 2 } else { 1 };
            if outdated.entries().saturating_add(entries) > limit {
                break;
            }
            outdated.versions.push(*name);
            outdated.parts.extend(is_last.then_some(name.checksum));
        }
        outdated
    }

    fn kept(&self, added: &[VersionName], keep: usize, now: Timestamp) -> BTreeSet<VersionName> {
        let mut kept: BTreeSet<VersionName> = added.iter().copied().collect();
        kept.extend(self.names.iter().rev().take(keep));
        let mut hours = BTreeSet::new();
        let this_hour = now.in_units_of(HOUR);
        let is_recent = |hour: u64| this_hour.saturating_sub(hour) < HOURS;
        for name in self.names().iter().rev() {
            let hour = name.time.in_units_of(HOUR);
            if is_recent(hour) && hours.insert(hour) {
                kept.insert(*name);
            }
        }
        kept
    }
}

/// What an upload removes from the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outdated {
    /// The versions, the oldest first.
    pub versions: Vec<VersionName>,
    /// The documents that no other version has.
    pub parts: Vec<Checksum>,
}

impl Outdated {
    /// The number of entries to remove.
    pub fn entries(&self) -> usize {
        self.versions.len().saturating_add(self.parts.len())
    }
}
