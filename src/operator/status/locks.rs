//! The locks of all nodes. Consul has a file's path only as its hash.

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
    /// On this node.
    pub node: String,
    /// The file, where this node knows one of that hash.
    pub file: Option<String>,
    /// The SHA-256 of its path, in hex.
    pub hash: String,
    /// Why.
    pub reason: String,
}

/// All of them; where only one key or file is wanted, those that are known to be of it.
pub(super) fn all(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> Result<Vec<LockState>> {
    let prefix = &order.site.prefix;
    let given = order.file.as_deref().map(path::absolute);
    let known = || recorded.iter().map(|one| one.state.locked_as()).chain(given.as_deref());
    let mut locks = Vec::new();
    for mark in client.all(&prefix.locks())? {
        let (Some((hash, node)), Some(reason)) = (prefix.split_lock(&mark.key), text_of(&mark)) else { continue };
        let file = known().find(|file| prefix.lock(file, node) == mark.key).map(|file| file.display().to_string());
        if file.is_some() || (order.key.is_none() && order.file.is_none()) {
            locks.push(LockState { node: text::excerpt(node), file, hash: hash.to_owned(), reason });
        }
    }
    Ok(locks)
}
