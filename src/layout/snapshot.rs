//! What is in Consul under a key, or why it is no document.

use crate::consul::{Client, Consistency};
use crate::document::Verified;
use crate::error::{Error, Result, Status};
use crate::layout::keys::KeyPaths;
use crate::layout::pair::{Pair, PairState};
use crate::layout::stored::EncodedDocument;

/// The document of a key.
pub fn document(client: &Client, folder: &KeyPaths) -> Result<Verified> {
    let mut entries = client.read(Consistency::Default, &[&folder.data, &folder.checksum], &[])?;
    whole(Pair::take(&mut entries, folder), client, folder)
}

/// The document of a key, in the form in which it is stored.
pub fn stored(client: &Client, folder: &KeyPaths) -> Result<EncodedDocument> {
    let mut entries = client.read(Consistency::Default, &[&folder.data, &folder.checksum], &[])?;
    let pair = Pair::take(&mut entries, folder);
    let value = pair.data.clone();
    let document = whole(pair, client, folder)?;
    let stored = value.and_then(|data| EncodedDocument::found(document, data.value, data.flags));
    stored.ok_or_else(|| torn(folder, "its data does not have its checksum"))
}

fn whole(pair: Pair, client: &Client, folder: &KeyPaths) -> Result<Verified> {
    match pair.verify() {
        PairState::Verified(whole) => Ok(whole.document),
        PairState::Torn(found) => Err(torn(folder, found.why)),
        PairState::Absent => Err(Status::NoSuchKey.error(format!(
            "there is no {} in Consul at {}; check the key and -p",
            folder.data,
            client.server()
        ))),
    }
}

fn torn(folder: &KeyPaths, why: &str) -> Error {
    Status::TryAgain.error(format!(
        "{} and its checksum in Consul are torn: {why}; upload the document again with kvx-in",
        folder.data
    ))
}
