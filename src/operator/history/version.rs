//! What is shown of a version. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::consul::Entry;
use crate::document::{Checksum, Size};
use crate::layout::history::VersionName;
use crate::layout::pair::PairState;
use crate::layout::record::{self, NotARecord, Record};
use crate::layout::snapshot::Snapshot;
use crate::layout::version::Current;

/// A version of a document.
#[derive(Clone, Debug, Serialize)]
pub struct VersionState {
    /// When it was uploaded; `None` if it is current, but was uploaded without a record.
    pub time: Option<String>,
    /// The checksum of its document, in hex.
    pub checksum: String,
    /// The document's number of lines, if it can be read.
    pub lines: Option<u64>,
    /// The document's size in bytes; if it cannot be read, by its record.
    pub size: Option<u64>,
    /// Who uploaded it: `user@host`.
    pub by: Option<String>,
    /// The note of the upload.
    pub note: Option<String>,
    /// The checksum of the document that it replaced.
    pub undo: Option<String>,
    /// Whether it is the document that Consul has now.
    pub current: bool,
    /// Whether it is a rollback.
    pub rollback: bool,
    /// Why its document cannot be restored: `missing` or `damaged`.
    pub problem: Option<&'static str>,
    /// What is special about it, for a person.
    #[serde(skip)]
    pub remark: Option<&'static str>,
}

/// A document of the history.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Readable(Size),
    Missing,
    Damaged,
}

/// The versions that were read, the oldest first.
pub(super) struct Versions<'a> {
    pub records: &'a [(VersionName, Entry)],
    pub contents: &'a BTreeMap<Checksum, Content>,
}

/// Between a record and its signatures is an empty line.
const END_OF_RECORD: &[u8] = b"\n\n";

/// Who uploaded a document without a record, by the record that the history has of it. It does not say what it replaced.
const UNKNOWN: &str = "unknown";

impl Versions<'_> {
    /// The states of the versions, the newest first. `at` is the current one; without it, the current document comes first.
    pub fn states(&self, current: Option<Current>, at: Option<VersionName>, snapshot: &Snapshot) -> Vec<VersionState> {
        let mut states: Vec<VersionState> = self.records.iter().map(|(name, entry)| self.state(*name, entry)).collect();
        if let Some(first) = states.first_mut() {
            first.rollback = false; // It replaced no version.
        }
        match self.records.iter().position(|(name, _)| Some(*name) == at) {
            Some(at) => states.iter_mut().skip(at).take(1).for_each(|state| state.current = true),
            None => states.extend(current.map(|current| not_kept(current.checksum, snapshot))),
        }
        states.reverse();
        states
    }

    fn state(&self, name: VersionName, entry: &Entry) -> VersionState {
        let (record, remark) = match parse(&entry.value, name) {
            Ok(record) => (Some(record), None),
            Err(NotARecord::Newer) => (None, Some("its record needs a newer kvx")),
            Err(NotARecord::Malformed(_)) => (None, Some("its record is malformed")),
        };
        let state = described(name.checksum, record);
        let time = Some(name.time.to_string());
        match self.contents.get(&name.checksum) {
            Some(Content::Readable(size)) => {
                VersionState { time, lines: Some(size.lines()), size: Some(size.bytes()), remark, ..state }
            }
            Some(Content::Damaged) => VersionState { time, problem: Some("damaged"), remark, ..state },
            Some(Content::Missing) | None => VersionState { time, problem: Some("missing"), remark, ..state },
        }
    }
}

/// The record of this version.
fn parse(value: &[u8], name: VersionName) -> Result<Record, NotARecord> {
    let end = value.windows(END_OF_RECORD.len()).position(|bytes| bytes == END_OF_RECORD);
    let record = end.and_then(|end| value.get(..=end)).unwrap_or(value);
    match Record::parse(record)? {
        record if record.checksum == name.checksum => Ok(record),
        _ => Err(NotARecord::Malformed("it describes another document")),
    }
}

/// A version as its record describes it.
fn described(checksum: Checksum, record: Option<Record>) -> VersionState {
    let is_rollback = |record: &Record| record.undo.is_none() && record.by != UNKNOWN;
    VersionState {
        time: record.as_ref().map(|record| record.time.to_string()),
        checksum: checksum.to_string(),
        lines: None,
        size: record.as_ref().map(|record| record.size),
        undo: record.as_ref().and_then(|record| record.undo).map(|undo| undo.to_string()),
        current: false,
        rollback: record.as_ref().is_some_and(is_rollback),
        problem: None,
        remark: None,
        by: record.as_ref().map(|record| record.by.clone()),
        note: record.and_then(|record| record.note),
    }
}

/// The current document, if the history does not have it.
fn not_kept(checksum: Checksum, snapshot: &Snapshot) -> VersionState {
    let record = record::of_document(snapshot.record.as_ref(), checksum);
    let size = match &snapshot.state {
        PairState::Verified(pair) => Some(pair.document.size()),
        PairState::Absent | PairState::Torn(_) => None,
    };
    let state = described(checksum, record);
    VersionState {
        lines: size.map(|size| size.lines()),
        size: size.map(|size| size.bytes()).or(state.size),
        current: true,
        rollback: false,
        remark: Some("not in the history"),
        ..state
    }
}
