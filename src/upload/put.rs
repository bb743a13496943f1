//! Replacing data and checksum together.

use crate::consul::{Change, Client, Folder, Outcome};
use crate::document::Verified;
use crate::error::Result;
use crate::pair::{Found, Torn};

/// Replaces what was found, data and checksum together.
pub(super) fn put(folder: &Folder, found: &Found, ours: &Verified, client: &Client) -> Result<Outcome> {
    let now = Now::of(found, ours);
    let checksum = ours.checksum().to_string();
    let changes = now.changes(Change::Set(&folder.data, ours.bytes()), &folder.checksum, checksum.as_bytes());
    match client.change(&changes)? {
        Outcome::TooLarge => put_large(folder, &now, ours, client),
        outcome => Ok(outcome),
    }
}

/// A document that no transaction can carry: first the data, which makes a torn pair that nobody installs; then the
/// checksum, if the data is still ours.
fn put_large(folder: &Folder, now: &Now, ours: &Verified, client: &Client) -> Result<Outcome> {
    if !now.has_our_data {
        match client.put(&folder.data, ours.bytes(), now.data_index)? {
            Outcome::Done => {}
            not_done => return Ok(not_done),
        }
    }
    let data = client.read(&[&folder.data], &[])?.take(&folder.data);
    let Some(data) = data.filter(|data| data.value == ours.bytes() && data.flags == 0) else {
        return Ok(Outcome::Lost { why: format!("{} has changed", folder.data), repeated: false });
    };
    let checksum = ours.checksum().to_string();
    let still_ours = Change::CheckIndex(&folder.data, data.modify_index);
    client.change(&now.changes(still_ours, &folder.checksum, checksum.as_bytes()))
}

/// What of the state in Consul decides how to replace it.
struct Now {
    data_index: u64,
    has_our_data: bool,
    checksum_index: u64,
    /// A torn pair with our checksum: to set the same value again would wake no watch (tried).
    has_our_checksum: bool,
}

impl Now {
    fn of(found: &Found, ours: &Verified) -> Now {
        match found {
            Found::Nothing => Now { data_index: 0, has_our_data: false, checksum_index: 0, has_our_checksum: false },
            Found::Whole(whole) => Now {
                data_index: whole.data_index,
                has_our_data: false,
                checksum_index: whole.index,
                has_our_checksum: false,
            },
            Found::Torn(Torn { pair, .. }) => Now {
                data_index: pair.data.as_ref().map_or(0, |data| data.modify_index),
                has_our_data: pair.data.as_ref().is_some_and(|data| data.value == ours.bytes() && data.flags == 0),
                checksum_index: pair.checksum.as_ref().map_or(0, |entry| entry.modify_index),
                has_our_checksum: pair
                    .checksum
                    .as_ref()
                    .is_some_and(|entry| entry.value == ours.checksum().to_string().as_bytes()),
            },
        }
    }

    /// The changes: the data's, then the checksum's.
    fn changes<'a>(&self, data: Change<'a>, key: &'a str, checksum: &'a [u8]) -> Vec<Change<'a>> {
        if self.has_our_checksum {
            vec![data, Change::DeleteCas(key, self.checksum_index), Change::Set(key, checksum)]
        } else {
            vec![data, Change::Cas(key, checksum, self.checksum_index)]
        }
    }
}
