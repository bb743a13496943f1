//! The locks of all nodes. A lock's key in Consul has only the hash of the file's path.

use serde::Serialize;

use super::StatusOrder;
use crate::consul::{Client, Result};
use crate::layout::marker::text_of;
use crate::state::RecordedState;
use crate::util::path;
use crate::util::text;

/// One lock.
#[derive(Clone, Debug, Serialize)]
pub struct LockState {
    /// The node whose file is locked.
    pub node: String,
    /// The file's path, if a file recorded on this node has that hash.
    pub file: Option<String>,
    /// The SHA-256 of the file's path, in hex.
    pub hash: String,
    pub reason: String,
}

/// All locks under the prefix. If the order selects a key or a file, only the locks that are known to belong to it.
pub(super) fn all(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> Result<Vec<LockState>> {
    let prefix = &order.site.prefix;
    let given = order.file.as_deref().and_then(|file| path::absolute(file).ok());
    let known = || recorded.iter().map(|one| one.state.locked_as()).chain(given.as_deref());
    let mut locks = Vec::new();
    for entry in client.all(&prefix.locks())? {
        let (Some((hash, node)), Some(reason)) = (prefix.split_lock(&entry.key), text_of(&entry)) else { continue };
        let file = known().find(|file| prefix.lock(file, node) == entry.key).map(|file| file.display().to_string());
        if file.is_some() || (order.key.is_none() && order.file.is_none()) {
            locks.push(LockState { node: text::excerpt(node), file, hash: hash.to_owned(), reason });
        }
    }
    Ok(locks)
}
