//! Writes data and checksum.

use super::describe::Described;
use crate::consul::{Change, ChangeResult, Client, Consistency, Result};
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::stored::EncodedDocument;

/// The maximum number of operations in one transaction. Consul allows 128, before 1.14 64 (tried on 1.8.7).
const MAX_OPERATIONS: usize = 60;

/// The maximum number of entries that an upload removes from the history: what its other operations leave.
pub(super) const MAX_REMOVED: usize = MAX_OPERATIONS - 12;

/// Replaces data and checksum in one transaction, if neither has changed since `found` was read. What describes the upload is
/// part of this transaction.
///
/// If that is too large, the history's documents are stored first. A run that dies then leaves documents that no version names;
/// nobody reads them.
pub(super) fn put(
    paths: &KeyPaths,
    found: &PairState,
    ours: &EncodedDocument,
    mut described: Described,
    client: &Client,
) -> Result<ChangeResult> {
    let current = Current::of(found, ours);
    let checksum = ours.document().checksum().to_string();
    let checksum = checksum.as_bytes().into();
    let set = Change::Set(&paths.data, ours.value());
    let pair = if current.has_our_checksum {
        // A torn pair that has our checksum already. Setting a key to the value that it has does not fire watches (tried), so it
        // is deleted first.
        let delete = Change::DeleteCas(&paths.checksum, current.checksum_index);
        vec![set, delete, Change::Set(&paths.checksum, checksum)]
    } else {
        vec![set, Change::Cas(&paths.checksum, checksum, current.checksum_index)]
    };
    match client.change(&[pair.as_slice(), &described.changes(false)].concat())? {
        ChangeResult::TooLarge => {}
        result => return Ok(result),
    }
    for part in described.history.parts() {
        client.put(&part.path, part.value(), None)?;
    }
    let also = described.changes(true);
    match client.change(&[pair.as_slice(), &also].concat())? {
        ChangeResult::TooLarge => {}
        result => return Ok(result),
    }
    drop(also);
    // In two steps the hold is set before, so that no other upload comes in between.
    if let Some(hold) = described.hold.take() {
        match client.change(&[hold.change()])? {
            ChangeResult::Done => {}
            not_done => return Ok(not_done),
        }
    }
    put_large(paths, &current, ours, &described.changes(true), client)
}

/// Replaces a document that is too large for a transaction. First the data, which makes the pair torn, so that no node installs
/// it; then the checksum and the other changes, if the data is still ours.
fn put_large(
    paths: &KeyPaths,
    current: &Current,
    ours: &EncodedDocument,
    also: &[Change],
    client: &Client,
) -> Result<ChangeResult> {
    let mut checksum_index = current.checksum_index;
    if current.has_our_checksum {
        // Otherwise our data would complete the pair, and watches on the checksum would not fire.
        match client.change(&[Change::DeleteCas(&paths.checksum, checksum_index)])? {
            ChangeResult::Done => checksum_index = 0,
            not_done => return Ok(not_done),
        }
    }
    if !current.has_our_data {
        match client.put(&paths.data, ours.value(), Some(current.data_index))? {
            ChangeResult::Done => {}
            not_done => return Ok(not_done),
        }
    }
    let data = client.read(Consistency::Default, &[&paths.data], &[])?.take(&paths.data);
    let Some(data) = data.filter(|data| data.holds(ours.value())) else {
        return Ok(ChangeResult::Lost { why: format!("{} has changed", paths.data), repeated: false });
    };
    let checksum = ours.document().checksum().to_string();
    let complete = [
        Change::CheckIndex(&paths.data, data.modify_index),
        Change::Cas(&paths.checksum, checksum.as_bytes().into(), checksum_index),
    ];
    let changed = client.change(&[&complete, also].concat());
    changed.map_err(|error| {
        error.and("its data is already replaced, so no node installs the key until the document is uploaded again")
    })
}

/// What the key holds now, as far as the write depends on it. An index of 0 means that the entry does not exist.
#[derive(Default)]
struct Current {
    data_index: u64,
    checksum_index: u64,
    has_our_data: bool,
    has_our_checksum: bool,
}

impl Current {
    fn of(found: &PairState, ours: &EncodedDocument) -> Current {
        match found {
            PairState::Absent => Current::default(),
            PairState::Verified(pair) => {
                Current { data_index: pair.data_index, checksum_index: pair.index, ..Current::default() }
            }
            PairState::Torn(torn) => Current {
                data_index: torn.pair.data.as_ref().map_or(0, |data| data.modify_index),
                checksum_index: torn.pair.checksum.as_ref().map_or(0, |entry| entry.modify_index),
                has_our_data: torn.has_data(ours.value()),
                has_our_checksum: torn.has_checksum(ours.document().checksum()),
            },
        }
    }
}
