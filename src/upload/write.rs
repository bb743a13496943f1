//! Writes data and checksum.

use super::describe::{Described, NewHold};
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
    let hold = described.hold.take();
    if let Some(hold) = &hold {
        match set_first(hold, client)? {
            ChangeResult::Done => {}
            not_done => return Ok(not_done),
        }
    }
    let not_done = match put_data(paths, &current, ours, client) {
        Ok(Ok(first)) => {
            return complete(paths, &first, ours, &described.changes(true), client).map_err(|error| {
                let held = if hold.is_some() { ", and the key is held at it" } else { "" };
                error.and(&format!(
                    "its data is already replaced{held}, so no node installs the key until the document is uploaded again"
                ))
            });
        }
        Ok(Err(lost)) => Ok(lost),
        Err(failure) => Err(failure),
    };
    match &hold {
        // Otherwise the key would be held at a document that it does not have.
        Some(hold) if !hold.take_back(client) => not_done.map_err(|failure| {
            failure.and(&format!("{} is set nevertheless: remove it with `kvx release --force`", hold.path))
        }),
        _ => not_done,
    }
}

/// Sets the hold by itself.
fn set_first(hold: &NewHold, client: &Client) -> Result<ChangeResult> {
    match client.change(&[hold.change()])? {
        // The answer to an earlier attempt was lost.
        ChangeResult::Lost { repeated: true, .. } if hold.is_set(client)? => Ok(ChangeResult::Done),
        result => Ok(result),
    }
}

/// The indexes after the first step of a large document: what the second one depends on.
struct FirstStep {
    data_index: u64,
    checksum_index: u64,
}

/// The first step of a document that is too large for a transaction: the data, which makes the pair torn, so that no node installs
/// it.
fn put_data(
    paths: &KeyPaths,
    current: &Current,
    ours: &EncodedDocument,
    client: &Client,
) -> Result<std::result::Result<FirstStep, ChangeResult>> {
    let mut checksum_index = current.checksum_index;
    if current.has_our_checksum {
        // Otherwise our data would complete the pair, and watches on the checksum would not fire.
        match client.change(&[Change::DeleteCas(&paths.checksum, checksum_index)])? {
            ChangeResult::Done => checksum_index = 0,
            not_done => return Ok(Err(not_done)),
        }
    }
    if !current.has_our_data {
        match client.put(&paths.data, ours.value(), Some(current.data_index))? {
            // The answer to an earlier attempt was lost: whether that wrote the data, the next read shows.
            ChangeResult::Done | ChangeResult::Lost { repeated: true, .. } => {}
            not_done => return Ok(Err(not_done)),
        }
    }
    let data = client.read(Consistency::Default, &[&paths.data], &[])?.take(&paths.data);
    Ok(match data.filter(|data| data.holds(ours.value())) {
        Some(data) => Ok(FirstStep { data_index: data.modify_index, checksum_index }),
        None => Err(ChangeResult::Lost { why: format!("{} has changed", paths.data), repeated: false }),
    })
}

/// The second step: the checksum and the other changes, if the data is still ours.
fn complete(
    paths: &KeyPaths,
    first: &FirstStep,
    ours: &EncodedDocument,
    also: &[Change],
    client: &Client,
) -> Result<ChangeResult> {
    let checksum = ours.document().checksum().to_string();
    let changes = [
        Change::CheckIndex(&paths.data, first.data_index),
        Change::Cas(&paths.checksum, checksum.as_bytes().into(), first.checksum_index),
    ];
    client.change(&[&changes, also].concat())
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
