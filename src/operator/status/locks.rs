//! The locks of all nodes. Consul has a file's path only as its hash.

use std::path::Path;

use serde::Serialize;

use super::Order;
use super::files::Files;
use crate::consul::Client;
use crate::error::Result;
use crate::operator::mark::text_of;
use crate::payload::one_line;

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

/// All of them; those that are surely of other files are left out where only one key or file is wanted.
pub(super) fn all(order: &Order, remembered: &Files, client: &Client) -> Result<Vec<LockState>> {
    let prefix = &order.site.prefix;
    let given = order.file.as_ref().and_then(|file| std::path::absolute(file).ok());
    let wanted = || remembered.wanted.iter().map(|one| one.stamp.locked_as()).chain(given.as_deref());
    let others = || remembered.others.iter().map(|one| one.stamp.locked_as());
    let mut locks = Vec::new();
    for mark in client.all(&prefix.locks())? {
        let (Some((hash, node)), Some(reason)) = (prefix.split_lock(&mark.key), text_of(&mark)) else { continue };
        let is_of = |file: &Path| prefix.lock(file, node) == mark.key;
        let file = wanted().find(|file| is_of(file)).map(|file| file.display().to_string());
        if file.is_none() && (order.file.is_some() || others().any(is_of)) {
            continue;
        }
        locks.push(LockState { node: one_line(node), file, hash: hash.to_owned(), reason });
    }
    Ok(locks)
}
