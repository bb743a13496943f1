//! How a person names a version of a key: by its checksum, by its time, or by its distance from the current one. Pure.

use std::fmt;

use super::history::{History, VersionName};
use super::record;
use crate::consul::Entry;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::util::time::Timestamp;

/// A version as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionQuery {
    /// The first digits of its checksum.
    Checksum(String),
    /// The first characters of its time, as it is printed.
    Time(String),
    /// `-1`, `-2`, ...: this many versions before the current one.
    Before(usize),
}

/// The current document, as far as its place in the history is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The checksum of the document.
    pub checksum: Checksum,
    /// The time of its record, if it has one.
    pub time: Option<Timestamp>,
}

impl Current {
    /// The document with this checksum, and the key's record, which may be another document's.
    pub fn new(checksum: Checksum, record: Option<&Entry>) -> Current {
        Current { checksum, time: record::of_document(record, checksum).map(|record| record.time) }
    }

    /// The position of the current version in [`History::names`]. `None` if the history does not have it: kvexpress has uploaded
    /// the document, or kvx without history. An older version may have the same document.
    pub fn position(self, history: &History) -> Option<usize> {
        let Current { checksum, time } = self;
        let names = history.names();
        match time {
            Some(time) => names.iter().position(|name| *name == VersionName { time, checksum }),
            None => {
                names.iter().enumerate().next_back().filter(|(_, name)| name.checksum == checksum).map(|(at, _)| at)
            }
        }
    }
}

/// The result of a search in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This version.
    One(VersionName),
    /// No version.
    Nothing,
    /// Several versions, with different documents; the newest first.
    Several(Vec<VersionName>),
}

/// Minimum number of a checksum's digits.
const MIN_DIGITS: usize = 4;

/// The number of a checksum's digits.
const MAX_DIGITS: usize = 64;

/// The form of a time, with `0` for a digit.
const TIME: &str = "0000-00-00T00:00:00.000Z";

/// Minimum number of a time's characters: the year and `-`. A year alone would be a checksum.
const MIN_TIME: usize = 5;

/// Maximum number of versions that an error lists.
const MAX_LISTED: usize = 8;

impl VersionQuery {
    /// Parses the value of an option.
    ///
    /// # Errors
    /// It has none of the three forms.
    pub fn parse(text: &str) -> std::result::Result<VersionQuery, String> {
        before(text).or_else(|| checksum(text)).or_else(|| time(text)).or_else(|| name(text)).ok_or_else(|| {
            "write 4 or more digits of a checksum (3f9a41c2), the start of a time (2026-11-27T14:02), or -1, -2, ... for a version before the current one"
                .into()
        })
    }

    /// The version that is meant. `current` is the current document.
    ///
    /// Versions with the same document are one, the newest. Before the current version are those that are older, or all if the
    /// history does not have it. There a version with the same document as the next newer one does not count.
    pub fn search(&self, history: &History, current: Option<Current>) -> Found {
        let all = history.all();
        match self {
            VersionQuery::Checksum(digits) => {
                only(all.iter().filter(|name| name.checksum.to_string().starts_with(digits)))
            }
            VersionQuery::Time(start) => only(all.iter().filter(|name| name.time.to_string().starts_with(start))),
            VersionQuery::Before(distance) => {
                let names = history.names();
                let at = current.and_then(|current| current.position(history));
                let older = at.and_then(|at| names.get(..at)).unwrap_or(names);
                let mut newer = current.map(|current| current.checksum);
                let mut others = older.iter().rev().filter(|name| newer.replace(name.checksum) != Some(name.checksum));
                others.nth(distance.saturating_sub(1)).map_or(Found::Nothing, |name| Found::One(*name))
            }
        }
    }

    /// Like [`VersionQuery::search`], for exactly one version.
    ///
    /// # Errors
    /// 66 if there is no such version, 64 if there are several.
    pub fn find(&self, history: &History, current: Option<Current>) -> Result<VersionName> {
        match self.search(history, current) {
            Found::One(name) => Ok(name),
            Found::Nothing => Err(Status::NoSuchKey
                .error(format!("the history has no version {self}; `kvx history` lists the versions of a key"))),
            Found::Several(names) => {
                let listed: Vec<String> = names.iter().take(MAX_LISTED).map(described).collect();
                let more = match names.len().saturating_sub(MAX_LISTED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                Err(Status::Usage.error(format!("{self} could be {}{more}; write more of it", listed.join(" or "))))
            }
        }
    }
}

/// A version for messages: `2026-11-27T14:02:11.123Z 3f9a41c2…`.
fn described(VersionName { time, checksum }: &VersionName) -> String {
    format!("{time} {}", checksum.short())
}

fn only<'a>(names: impl DoubleEndedIterator<Item = &'a VersionName>) -> Found {
    let mut found: Vec<VersionName> = Vec::new();
    for name in names.rev() {
        if !found.iter().any(|newer| newer.checksum == name.checksum) {
            found.push(*name);
        }
    }
    match found.as_slice() {
        [] => Found::Nothing,
        [name] => Found::One(*name),
        _ => Found::Several(found),
    }
}

fn before(text: &str) -> Option<VersionQuery> {
    let digits = text.strip_prefix('-')?;
    let distance = digits.parse().ok().filter(|distance| *distance > 0)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(VersionQuery::Before(distance))
}

/// The name of an entry, as Consul's own tools show it. Its time suffices.
fn name(text: &str) -> Option<VersionQuery> {
    VersionName::parse(text).map(|name| VersionQuery::Time(name.time.to_string()))
}

/// Messages shorten a checksum to `3f9a41c2…`, which is accepted as well.
fn checksum(text: &str) -> Option<VersionQuery> {
    let digits = text.strip_suffix('…').unwrap_or(text);
    let is_checksum =
        (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_checksum.then(|| VersionQuery::Checksum(digits.to_ascii_lowercase()))
}

/// `kvx status` prints `2026-11-27T14:02:11Z`, which is accepted as well.
fn time(text: &str) -> Option<VersionQuery> {
    let start = if text.len() == TIME.len() { text } else { text.strip_suffix('Z').unwrap_or(text) };
    let is_as = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let is_time = (MIN_TIME..=TIME.len()).contains(&start.len()) && start.bytes().zip(TIME.bytes()).all(is_as);
    is_time.then(|| VersionQuery::Time(start.to_owned()))
}

impl fmt::Display for VersionQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionQuery::Checksum(start) | VersionQuery::Time(start) => f.write_str(start),
            VersionQuery::Before(distance) => write!(f, "-{distance}"),
        }
    }
}
