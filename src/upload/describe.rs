//! Describes an upload: the record and the history, which are written with the document.

use super::Description;
use super::history::{HistoryChanges, Known};
use crate::consul::{Change, Client};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::history::Keep;
use crate::layout::hold::Hold;
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::record::{self, NotARecord, Record};
use crate::layout::snapshot::Snapshot;
use crate::layout::stored::EncodedDocument;
use crate::util::time::Timestamp;

/// What is written together with data and checksum.
#[derive(Default)]
pub(super) struct Described<'a> {
    /// The path and the text of the record.
    record: Option<(String, String)>,
    /// The changes of the history.
    pub history: HistoryChanges<'a>,
    /// The hold, if it moves to the document or is set by a rollback.
    pub hold: Option<NewHold>,
    /// The path and the index of a stop that a rollback removes.
    pub resumed: Option<(String, u64)>,
}

/// A hold to be written.
pub(super) struct NewHold {
    pub path: String,
    pub value: String,
    /// The index of the hold that it replaces, 0 if there is none.
    pub index: u64,
}

impl NewHold {
    pub fn change(&self) -> Change<'_> {
        Change::Cas(&self.path, self.value.as_bytes().into(), self.index)
    }
}

impl Described<'_> {
    /// All of the changes; see [`HistoryChanges::changes`].
    pub fn changes(&self, parts_are_stored: bool) -> Vec<Change<'_>> {
        let record = self.record.as_ref().map(|(path, record)| Change::Set(path, record.as_bytes().into()));
        let hold = self.hold.as_ref().map(NewHold::change);
        let resumed = self.resumed.as_ref().map(|(path, index)| Change::DeleteCas(path, *index));
        record.into_iter().chain(hold).chain(resumed).chain(self.history.changes(parts_are_stored)).collect()
    }
}

/// What describes this upload, which replaces what `found` contains. Nothing for kvexpress. With `shares`, a document that the
/// history has is not written again.
///
/// # Errors
/// 65 if the key's record is one of a newer kvx; 69, 77 and 78 if the history cannot be read.
pub(super) fn describe<'a>(
    description: &Description,
    paths: &KeyPaths,
    found: &'a Snapshot,
    ours: &'a EncodedDocument,
    shares: bool,
    client: &Client,
    context: &Context,
) -> Result<Described<'a>> {
    let Description::Record { undo, note, keep } = description else { return Ok(Described::default()) };
    let now = Timestamp::now();
    let before = record_before(paths, found, context)?;
    let known = match keep {
        Keep::Nothing => None,
        Keep::Newest(_) => Some(Known::read(&paths.history, found, client, now)?),
    };
    let history = known.as_ref().map(|known| &known.history);
    let times = before.iter().map(|record| record.time).chain(history.iter().flat_map(|history| history.times()));
    let (time, ignored) = record::time_after(now, times);
    if let Some(ahead) = ignored {
        context.warn(&format!(
            "{}: a version's time, {ahead}, is more than a day ahead of this machine's clock, and is ignored; check both clocks",
            paths.folder()
        ));
    }
    let document = ours.document();
    let record = Record {
        key: paths.folder().to_owned(),
        checksum: document.checksum(),
        size: document.size().bytes(),
        time: known.as_ref().map_or(time, |known| known.time(time)),
        by: context.env.user_at_host(),
        over: None,
        brake: None,
        undo: replaced(&found.state).filter(|replaced| *undo && *replaced != document.checksum()),
        note: note.clone(),
    };
    let history = match (known, keep) {
        (Some(known), Keep::Newest(newest)) => known.changes(&record, ours, &found.state, *newest, shares),
        _ => HistoryChanges::default(),
    };
    Ok(Described { record: Some((paths.record.clone(), record.to_string())), history, hold: None, resumed: None })
}

/// The hold that moves to this document, if the key is held at another one.
///
/// # Errors
/// 65 if the entry is not a hold.
pub(super) fn moved_hold(paths: &KeyPaths, found: &Snapshot, checksum: Checksum) -> Result<Option<NewHold>> {
    let hold = found.hold.as_ref().zip(Hold::of(found.hold.as_ref())?);
    Ok(hold.filter(|(_, hold)| hold.forbids(checksum)).map(|(entry, hold)| {
        let moved = Hold { checksum, ..hold };
        NewHold { path: paths.hold.clone(), value: moved.to_string(), index: entry.modify_index }
    }))
}

/// The key's record, if it is one.
fn record_before(paths: &KeyPaths, found: &Snapshot, context: &Context) -> Result<Option<Record>> {
    match found.record.as_ref().map(|entry| Record::parse(&entry.value)) {
        None => Ok(None),
        Some(Ok(record)) => Ok(Some(record)),
        Some(Err(NotARecord::Newer)) => {
            Err(Status::Refused.error(format!("{} needs a newer kvx; update kvx", paths.record)))
        }
        Some(Err(NotARecord::Malformed(why))) => {
            context.warn(&format!("{} is ignored and replaced: {why}", paths.record));
            Ok(None)
        }
    }
}

/// The checksum of the document that is replaced. Of a torn pair, it is the checksum that nodes installed last.
fn replaced(found: &PairState) -> Option<Checksum> {
    match found {
        PairState::Absent => None,
        PairState::Verified(pair) => Some(pair.document.checksum()),
        PairState::Torn(torn) => torn.pair.checksum.as_ref().and_then(|entry| Checksum::parse(&entry.value)),
    }
}
