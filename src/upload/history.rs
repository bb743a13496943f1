//! Adds an upload to the key's history: the new version, and the one that it replaces unless it is there already, each with its
//! document; and removes what is outdated.

use std::borrow::Cow;
use std::time::Duration;

use super::write::MAX_REMOVED;
use crate::consul::{Change, Client, Consistency, Failure, Value};
use crate::document::{Checksum, encoding};
use crate::error::{Error, Status};
use crate::layout::history::{History, Keep, Outdated, VersionName};
use crate::layout::keys::HistoryPaths;
use crate::layout::pair::{PairState, VerifiedPair};
use crate::layout::record::{self, Record, Timestamp};
use crate::layout::snapshot::Snapshot;
use crate::layout::stored::EncodedDocument;

/// The changes of the history.
#[derive(Default)]
pub(super) struct HistoryChanges<'a> {
    /// The paths and the records of the added versions.
    versions: Vec<(String, Vec<u8>)>,
    /// The documents that are added.
    parts: Vec<Part<'a>>,
    /// The paths of documents that the added versions share with others. If one is missing, nothing is changed.
    required: Vec<String>,
    /// The paths of what is removed.
    outdated: Vec<String>,
}

/// A document in its stored form.
pub(super) struct Part<'a> {
    pub path: String,
    bytes: Cow<'a, [u8]>,
    flags: u64,
}

impl Part<'_> {
    pub fn value(&self) -> Value<'_> {
        Value { bytes: &self.bytes, flags: self.flags }
    }
}

/// What history knows of a key before an upload.
pub(super) struct Known<'p> {
    paths: &'p HistoryPaths,
    pub history: History,
    /// The document that is replaced, unless it is the newest version.
    previous: Option<Previous>,
}

struct Previous {
    checksum: Checksum,
    /// The time and the text of its record, if it has one and that time counts.
    record: Option<(Timestamp, Vec<u8>)>,
    /// Its record, if the time is too far ahead to count.
    undated: Option<Record>,
}

impl<'p> Known<'p> {
    /// Reads the names of the versions. This comes after the pair is read: if the pair is unchanged when the upload is written,
    /// so is the history.
    ///
    /// The read is consistent, since a document is removed if no name that was read has it.
    pub fn read(
        paths: &'p HistoryPaths,
        found: &Snapshot,
        client: &Client,
        now: Timestamp,
    ) -> Result<Known<'p>, Failure> {
        let names = client.list(Consistency::Consistent, &paths.versions)?;
        let history = History::of(&paths.versions, names.iter().map(String::as_str), now);
        let previous = found
            .state
            .verified()
            .filter(|previous| history.newest().is_none_or(|newest| newest.checksum != *previous));
        let previous = previous.map(|checksum| {
            let own = record::of_document(found.record.as_ref(), checksum);
            match own.zip(found.record.as_ref()) {
                Some((own, _)) if own.time > record::horizon(now) => {
                    Previous { checksum, record: None, undated: Some(own) }
                }
                Some((own, entry)) => {
                    Previous { checksum, record: Some((own.time, entry.value.clone())), undated: None }
                }
                None => Previous { checksum, record: None, undated: None },
            }
        });
        Ok(Known { paths, history, previous })
    }

    /// The time of the new version, if it is to be at least `earliest`. A version without a time is added just before it.
    pub fn time(&self, earliest: Timestamp) -> Timestamp {
        match self.previous {
            Some(Previous { record: None, .. }) => earliest.plus(Duration::from_millis(1)),
            _ => earliest,
        }
    }

    /// The changes for this new version. With `shares`, a document that another version has is not written again.
    pub fn changes<'a>(
        self,
        new: &Record,
        ours: &'a EncodedDocument,
        found: &'a PairState,
        keep: Keep,
        shares: bool,
    ) -> HistoryChanges<'a> {
        let Known { paths, history, previous } = self;
        let mut changes = HistoryChanges::default();
        let mut added = Vec::new();
        let mut add = |name: VersionName, record: Vec<u8>, part: &mut dyn FnMut(String) -> Part<'a>| {
            changes.versions.push((paths.version(name), record));
            let path = paths.part(name.checksum);
            if shares && history.has(name.checksum) {
                changes.required.push(path)
            } else {
                changes.parts.push(part(path))
            }
            added.push(name);
        };
        if let (Some(Previous { checksum, record, undated }), PairState::Verified(pair)) = (previous, found) {
            let (time, record) = record.unwrap_or_else(|| {
                let time = new.time.minus(Duration::from_millis(1));
                let record = undated.map_or_else(|| unknown(new, pair, time), |own| Record { time, ..own });
                (time, record.to_string().into_bytes())
            });
            add(VersionName { time, checksum }, record, &mut |path| part_of_pair(path, pair));
        }
        let name = VersionName { time: new.time, checksum: new.checksum };
        add(name, new.to_string().into_bytes(), &mut |path| part_of(path, ours));
        let outdated = match keep {
            Keep::Newest(newest) => history.outdated(&added, newest, new.time, MAX_REMOVED),
            Keep::All | Keep::Nothing => Outdated::default(),
        };
        let versions = outdated.versions.into_iter().map(|name| paths.version(name));
        changes.outdated = versions.chain(outdated.parts.into_iter().map(|checksum| paths.part(checksum))).collect();
        changes
    }
}

/// The record of a document that was uploaded without one.
fn unknown(new: &Record, pair: &VerifiedPair, time: Timestamp) -> Record {
    Record {
        key: new.key.clone(),
        checksum: pair.document.checksum(),
        size: pair.document.size().bytes(),
        time,
        by: "unknown".into(),
        over: None,
        brake: None,
        undo: None,
        note: None,
    }
}

/// A document as a part: as it is stored if it is compressed, otherwise compressed if that is smaller.
fn part_of(path: String, document: &EncodedDocument) -> Part<'_> {
    match document.encoded() {
        Some(_) => {
            let Value { bytes, flags } = document.value();
            Part { path, bytes: bytes.into(), flags }
        }
        None => compressed(path, document.document().bytes()),
    }
}

fn part_of_pair(path: String, pair: &VerifiedPair) -> Part<'_> {
    match &pair.encoded {
        Some(encoded) => Part { path, bytes: encoded.into(), flags: pair.flags },
        None => compressed(path, pair.document.bytes()),
    }
}

fn compressed(path: String, bytes: &[u8]) -> Part<'_> {
    match encoding::to_brotli_quickly(bytes) {
        smaller if smaller.len() < bytes.len() => Part { path, bytes: smaller.into(), flags: encoding::BROTLI },
        _ => Part { path, bytes: bytes.into(), flags: 0 },
    }
}

impl HistoryChanges<'_> {
    /// The documents to be written.
    pub fn parts(&self) -> &[Part<'_>] {
        &self.parts
    }

    /// All of the changes. With `are_stored`, the documents are in Consul already, and only have to be there still.
    pub fn changes(&self, are_stored: bool) -> Vec<Change<'_>> {
        let versions = self.versions.iter().map(|(path, record)| Change::Set(path, record.as_slice().into()));
        let required = self.required.iter().map(|path| Change::CheckExists(path));
        let outdated = self.outdated.iter().map(|path| Change::Delete(path));
        let parts = self.parts.iter().map(|part| match are_stored {
            true => Change::CheckExists(&part.path),
            false => Change::Set(&part.path, part.value()),
        });
        versions.chain(parts).chain(required).chain(outdated).collect()
    }
}

/// Adds the remedy to a denial of the history.
pub(super) fn hint(error: Error, paths: &HistoryPaths) -> Error {
    let is_of_history = [&paths.versions, &paths.parts].iter().any(|path| error.to_string().contains(*path));
    match error.status() {
        Status::Denied if is_of_history => error.and("or keep no history, with --keep 0"),
        _ => error,
    }
}
