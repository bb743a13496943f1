//! The record of a version: which document, when it was uploaded, by whom, and what it replaced. Pure.
//!
//! ```text
//! kvx 1
//! key kvexpress/hosts
//! checksum 3f9a41c2... (64 digits)
//! size 30600
//! time 2026-11-27T14:02:11.123Z
//! by anna@web-1
//! undo 77aa0c1d... (64 digits)
//! note bad DNS: back to 13:58
//! ```
//!
//! Each line ends with LF. The lines are in this order, each at most once; those after `by` are optional. Unknown lines
//! after them are ignored, so that a later kvx can add some.

use std::fmt;
use std::time::Duration;

use crate::consul::Entry;
use crate::document::Checksum;
use crate::util::text;
pub use crate::util::time::Timestamp;

/// Maximum length of a note, in characters.
pub const LONGEST_NOTE: usize = 500;

/// Describes one version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `PREFIX/KEY`.
    pub key: String,
    /// The checksum of the document.
    pub checksum: Checksum,
    /// The size of the document, in bytes.
    pub size: u64,
    /// When it was uploaded: later than all earlier versions of the key.
    pub time: Timestamp,
    /// Who uploaded it: `user@host`.
    pub by: String,
    /// The time in which all nodes are to install it.
    pub over: Option<Duration>,
    /// The number of nodes that may fail before it is stopped.
    pub brake: Option<u32>,
    /// The checksum of the document that it replaced. A rollback has none.
    pub undo: Option<Checksum>,
    /// `-m`.
    pub note: Option<String>,
}

/// Why a text is not a record of this version of kvx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotARecord {
    /// It is one of a newer kvx, whose rules are unknown.
    Newer,
    /// It does not have the form of a record.
    Malformed(&'static str),
}

/// The record of the document with this checksum. `None` if there is none, if it is not a record of this version of kvx, or if it
/// is another document's: a program that does not know records, such as kvexpress, leaves it behind.
pub fn of_document(record: Option<&Entry>, checksum: Checksum) -> Option<Record> {
    Record::parse(&record?.value).ok().filter(|record| record.checksum == checksum)
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { key, checksum, size, time, by, over, brake, undo, note } = self;
        write!(f, "kvx 1\nkey {key}\nchecksum {checksum}\nsize {size}\ntime {time}\nby {by}\n")?;
        if let Some(over) = over {
            writeln!(f, "over {}", humantime::format_duration(*over))?;
        }
        if let Some(brake) = brake {
            writeln!(f, "brake {brake}")?;
        }
        if let Some(undo) = undo {
            writeln!(f, "undo {undo}")?;
        }
        match note {
            Some(note) => writeln!(f, "note {note}"),
            None => Ok(()),
        }
    }
}

/// Maximum size of a note, in bytes: with the longest key and prefix, the record must not be too large.
const LARGEST_NOTE: usize = 1000;

/// A note as a record can contain it: one line, at most 500 characters and 1,000 bytes. `None` if nothing is left of it.
pub fn note(text: &str) -> Option<String> {
    let mut note: String = text::line(text.trim()).chars().take(LONGEST_NOTE).collect();
    while note.len() > LARGEST_NOTE {
        note.pop();
    }
    Some(note.trim_end().to_owned()).filter(|note| !note.is_empty())
}

/// The latest time that counts. A version that is more than a day ahead was uploaded by a wrong clock, which must not decide the
/// order of all later versions.
pub fn horizon(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_secs(24 * 60 * 60))
}

/// The time of a new version: now, but later than the known versions. A known time beyond the horizon does not count, and is
/// returned.
pub fn time_after(now: Timestamp, known: impl Iterator<Item = Timestamp>) -> (Timestamp, Option<Timestamp>) {
    let horizon = horizon(now);
    let (mut time, mut ignored) = (now, None);
    for known in known {
        if known > horizon {
            ignored = ignored.max(Some(known));
        } else {
            time = time.max(known.plus(Duration::from_millis(1)));
        }
    }
    (time, ignored)
}

/// Maximum size, in bytes.
pub const LARGEST: usize = 4 * 1024;

/// The names of the lines after the first one, in their order.
const NAMES: [&str; 9] = ["key", "checksum", "size", "time", "by", "over", "brake", "undo", "note"];

impl Record {
    /// Parses a record.
    ///
    /// # Errors
    /// It is not a record, or one of a newer kvx.
    pub fn parse(bytes: &[u8]) -> Result<Record, NotARecord> {
        let malformed = NotARecord::Malformed;
        let (version, rest) = split_line(bytes).ok_or(malformed("it has no lines"))?;
        match version.strip_prefix(b"kvx ") {
            Some(b"1") => {}
            Some(version) if !version.is_empty() && version.iter().all(u8::is_ascii_digit) => {
                return Err(NotARecord::Newer);
            }
            _ => return Err(malformed("its first line is not \"kvx 1\"")),
        }
        if bytes.len() > LARGEST {
            return Err(malformed("it is too large"));
        }
        let rest = std::str::from_utf8(rest).map_err(|_| malformed("it is not UTF-8"))?;
        let lines = rest.strip_suffix('\n').ok_or(malformed("its last line is incomplete"))?;
        Lines::parse(lines)?.into_record()
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end.saturating_add(1)..)?))
}

/// The values of the known lines, by their place in [`NAMES`].
struct Lines<'a>([Option<&'a str>; NAMES.len()]);

impl<'a> Lines<'a> {
    fn parse(text: &'a str) -> Result<Lines<'a>, NotARecord> {
        let mut values = [None; NAMES.len()];
        let mut next = 0;
        for line in text.split('\n') {
            if line.is_empty() || line.contains(char::is_control) {
                return Err(NotARecord::Malformed("it has an empty line, or a control character"));
            }
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let Some(place) = NAMES.iter().position(|known| *known == name) else {
                next = NAMES.len(); // An unknown line: no known one may follow.
                continue;
            };
            if place < next || value.is_empty() {
                return Err(NotARecord::Malformed("a line is empty, in the wrong place, or there twice"));
            }
            if let Some(slot) = values.get_mut(place) {
                *slot = Some(value);
            }
            next = place.saturating_add(1);
        }
        Ok(Lines(values))
    }

    fn into_record(self) -> Result<Record, NotARecord> {
        let Lines([key, checksum, size, time, by, over, brake, undo, note]) = self;
        let missing = NotARecord::Malformed("a line is missing");
        let invalid = NotARecord::Malformed("a line has an invalid value");
        // A value counts only as it is printed, so that a record has one form.
        Ok(Record {
            key: key.ok_or(missing.clone())?.to_owned(),
            checksum: checksum_of(checksum.ok_or(missing.clone())?).ok_or(invalid.clone())?,
            size: printed_as(size.ok_or(missing.clone())?).ok_or(invalid.clone())?,
            time: Timestamp::parse(time.ok_or(missing.clone())?).ok_or(invalid.clone())?,
            by: by.ok_or(missing)?.to_owned(),
            over: over.map(|over| duration(over).ok_or(invalid.clone())).transpose()?,
            brake: brake.map(|brake| printed_as(brake).ok_or(invalid.clone())).transpose()?,
            undo: undo.map(|undo| checksum_of(undo).ok_or(invalid.clone())).transpose()?,
            note: note.map(str::to_owned),
        })
    }
}

fn checksum_of(text: &str) -> Option<Checksum> {
    Checksum::parse(text.as_bytes()).filter(|checksum| checksum.to_string() == text)
}

fn printed_as<T: std::str::FromStr + fmt::Display>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|value| value.to_string() == text)
}

fn duration(text: &str) -> Option<Duration> {
    let duration = humantime::parse_duration(text).ok()?;
    (humantime::format_duration(duration).to_string() == text).then_some(duration)
}
