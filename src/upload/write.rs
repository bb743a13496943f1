//! Replacing data and checksum together.

use crate::consul::{Change, ChangeResult, Client, Consistency, Result};
use crate::layout::keys::KeyPaths;
use crate::layout::pair::PairState;
use crate::layout::stored::EncodedDocument;

/// Replaces what was found, data and checksum together.
pub(super) fn put(
    paths: &KeyPaths,
    found: &PairState,
    ours: &EncodedDocument,
    client: &Client,
) -> Result<ChangeResult> {
    let now = Now::of(found, ours);
    let checksum = ours.document().checksum().to_string();
    let checksum = checksum.as_bytes().into();
    let set = Change::Set(&paths.data, ours.value());
    let result = if now.has_our_checksum {
        // A torn pair. To set the value that it has would wake no watch (tried).
        let delete = Change::DeleteCas(&paths.checksum, now.checksum_index);
        client.change(&[set, delete, Change::Set(&paths.checksum, checksum)])?
    } else {
        client.change(&[set, Change::Cas(&paths.checksum, checksum, now.checksum_index)])?
    };
    match result {
        ChangeResult::TooLarge => put_large(paths, &now, ours, client),
        result => Ok(result),
    }
}

/// A document that no transaction can carry: first the data, which makes a torn pair that nobody installs; then the
/// checksum, if the data is still ours.
fn put_large(paths: &KeyPaths, now: &Now, ours: &EncodedDocument, client: &Client) -> Result<ChangeResult> {
    let mut checksum_index = now.checksum_index;
    if now.has_our_checksum {
        // Or else the data alone would make the pair whole, and no watch on the checksum would fire.
        match client.change(&[Change::DeleteCas(&paths.checksum, checksum_index)])? {
            ChangeResult::Done => checksum_index = 0,
            not_done => return Ok(not_done),
        }
    }
    if !now.has_our_data {
        match client.put(&paths.data, ours.value(), now.data_index)? {
            ChangeResult::Done => {}
            not_done => return Ok(not_done),
        }
    }
    let data = client.read(Consistency::Default, &[&paths.data], &[])?.take(&paths.data);
    let Some(data) = data.filter(|data| data.holds(ours.value())) else {
        return Ok(ChangeResult::Lost { why: format!("{} has changed", paths.data), repeated: false });
    };
    let changed = client.change(&[
        Change::CheckIndex(&paths.data, data.modify_index),
        Change::Cas(&paths.checksum, ours.document().checksum().to_string().as_bytes().into(), checksum_index),
    ]);
    changed
        .map_err(|error| error.and("its data is there already, so nobody installs the key until it is uploaded again"))
}

/// What of the state in Consul decides how to replace it. An index of 0: it is not there.
#[derive(Default)]
struct Now {
    data_index: u64,
    checksum_index: u64,
    has_our_data: bool,
    has_our_checksum: bool,
}

impl Now {
    fn of(found: &PairState, ours: &EncodedDocument) -> Now {
        match found {
            PairState::Absent => Now::default(),
            PairState::Verified(pair) => {
                Now { data_index: pair.data_index, checksum_index: pair.index, ..Now::default() }
            }
            PairState::Torn(torn) => Now {
                data_index: torn.pair.data.as_ref().map_or(0, |data| data.modify_index),
                checksum_index: torn.pair.checksum.as_ref().map_or(0, |entry| entry.modify_index),
                has_our_data: torn.has_data(ours.value()),
                has_our_checksum: torn.has_checksum(ours.document().checksum()),
            },
        }
    }
}
