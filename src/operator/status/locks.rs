//! The locks of all nodes. Consul has a file's path only as its hash.

use serde::Serialize;

use super::Order;
use crate::consul::Client;
use crate::error::Result;
use crate::operator::mark::text_of;
use crate::stamp::Remembered;

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
pub(super) fn all(order: &Order, remembered: &[Remembered], client: &Client) -> Result<Vec<LockState>> {
    let prefix = &order.site.prefix;
    let given = order.file.as_ref().and_then(|file| std::path::absolute(file).ok());
    let known: Vec<(String, String)> = remembered
        .iter()
        .map(|remembered| remembered.stamp.locked_as())
        .chain(given.as_deref())
        .map(|path| (prefix.lock(path, ""), path.display().to_string()))
        .collect();
    let mut locks = Vec::new();
    for mark in client.all(&prefix.locks())? {
        let Some((folder, node)) = mark.key.rsplit_once('/') else { continue };
        let Some(reason) = text_of(&mark) else { continue };
        let file = known.iter().find(|(at, _)| at.trim_end_matches('/') == folder).map(|(_, file)| file.clone());
        if file.is_none() && order.file.is_some() {
            continue;
        }
        let hash = folder.rsplit('/').next().unwrap_or(folder).to_owned();
        locks.push(LockState { node: node.to_owned(), file, hash, reason });
    }
    Ok(locks)
}
