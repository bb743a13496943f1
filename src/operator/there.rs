//! What is in Consul under a key, or why it is no document.

use crate::consul::{Client, Consistency, Folder};
use crate::error::{Result, Status};
use crate::pair::{Found, Pair};
use crate::stored::Stored;

/// The document of a key, in the form in which it is stored.
pub(super) fn stored(client: &Client, folder: &Folder) -> Result<Stored> {
    let mut entries = client.read(Consistency::Default, &[&folder.data, &folder.checksum], &[])?;
    let pair = Pair::take(&mut entries, folder);
    let value = pair.data.clone();
    let torn = |why| {
        Status::TryAgain.error(format!(
            "{} and its checksum in Consul are torn: {why}; upload the document again with kvx-in",
            folder.data
        ))
    };
    match (pair.judge(), value) {
        (Found::Whole(whole), Some(data)) => Stored::found(whole.document, data.value, data.flags)
            .ok_or_else(|| torn("its data does not have its checksum")),
        (Found::Torn(found), _) => Err(torn(found.why)),
        _ => Err(Status::NoSuchKey.error(format!(
            "there is no {} in Consul at {}; check the key and -p",
            folder.data,
            client.server()
        ))),
    }
}
