//! Describes an upload: the record and the history, which are written with the document.

use super::Description;
use super::history::{HistoryChanges, Known};
use crate::consul::{self, Change, ChangeResult, Client, Consistency, Entry};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::history::{History, Keep};
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
    /// The hold that it replaces.
    pub before: Option<Entry>,
}

impl NewHold {
    pub fn change(&self) -> Change<'_> {
        let index = self.before.as_ref().map_or(0, |entry| entry.modify_index);
        Change::Cas(&self.path, self.value.as_bytes().into(), index)
    }

    /// Whether Consul has it.
    pub fn is_set(&self, client: &Client) -> consul::Result<bool> {
        Ok(self.read(client)?.is_some_and(|entry| entry.value == self.value.as_bytes()))
    }

    /// Restores what it has replaced, if it is still set. Returns false if that failed.
    pub fn take_back(&self, client: &Client) -> bool {
        let Ok(now) = self.read(client) else { return false };
        let Some(now) = now.filter(|entry| entry.value == self.value.as_bytes()) else { return true };
        let change = match &self.before {
            Some(before) => Change::Cas(&self.path, before.value.as_slice().into(), now.modify_index),
            None => Change::DeleteCas(&self.path, now.modify_index),
        };
        matches!(client.change(&[change]), Ok(ChangeResult::Done))
    }

    fn read(&self, client: &Client) -> consul::Result<Option<Entry>> {
        Ok(client.read(Consistency::Default, &[], &[&self.path])?.take(&self.path))
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
        Keep::Newest(_) | Keep::All => Some(Known::read(&paths.history, found, client, now)?),
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
        undo: undo.then(|| replaced(found, before.as_ref(), history, document.checksum())).flatten(),
        note: note.clone(),
    };
    let history = known.map(|known| known.changes(&record, ours, &found.state, *keep, shares)).unwrap_or_default();
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
        NewHold { path: paths.hold.clone(), value: moved.to_string(), before: Some(entry.clone()) }
    }))
}

/// The key's record, if it is one.
fn record_before(paths: &KeyPaths, found: &Snapshot, context: &Context) -> Result<Option<Record>> {
    match found.record.as_ref().map(|entry| Record::parse(&entry.value)) {
        None => Ok(None),
        Some(Ok(record)) => Ok(Some(record)),
        Some(Err(NotARecord::Newer)) => {
            Err(Status::Refused.error(format!(
                "{0} needs a newer kvx; update kvx, or, if no newer one is in use, remove the record with `consul kv delete {0}`",
                paths.record
            )))
        }
        Some(Err(NotARecord::Malformed(why))) => {
            context.warn(&format!("{} is ignored and replaced: {why}", paths.record));
            Ok(None)
        }
    }
}

/// The checksum of the document that this one replaces on the nodes: the held one, if the key is held, whatever else Consul
/// has; otherwise Consul's. `None` if it is the same one.
///
/// An upload that repairs its own torn pair replaces what it replaced before. Where nothing says what the nodes have, it is the
/// newest version.
fn replaced(found: &Snapshot, before: Option<&Record>, history: Option<&History>, ours: Checksum) -> Option<Checksum> {
    let held = Hold::of(found.hold.as_ref()).ok().flatten().map(|hold| hold.checksum);
    let replaced = match (held.or(found.state.claimed()), &found.state) {
        (Some(claimed), PairState::Torn(_)) if claimed == ours && held.is_none() => {
            before.filter(|record| record.checksum == ours).and_then(|record| record.undo)
        }
        (Some(claimed), _) => Some(claimed),
        (None, _) => history.and_then(History::newest).map(|newest| newest.checksum),
    };
    replaced.filter(|replaced| *replaced != ours)
}
