//! How everything is: the keys in Consul, the locks of all nodes, the files of this one.

mod files;
mod keys;
mod locks;
mod show;
mod table;

use std::path::PathBuf;

use serde::Serialize;

pub use self::files::FileState;
pub use self::keys::KeyState;
pub use self::locks::LockState;
use super::{Site, list};
use crate::consul::{Client, Key, Prefix};
use crate::error::{Error, Result, Status};
use crate::stamp::{self, Remembered};
use crate::world::World;

/// What to look at.
pub struct Order {
    /// `-k`: only this key, and the files that are made of it.
    pub key: Option<Key>,
    /// `-f`: only this file, and its key.
    pub file: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// Where.
    pub site: Site,
}

/// How it all is.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// Whether nothing is wrong: every pair verifies, nothing is stopped or locked, every file is what Consul has, no handler
    /// is owed.
    pub well: bool,
    /// The keys.
    pub keys: Vec<KeyState>,
    /// The locks.
    pub locks: Vec<LockState>,
    /// The files of this node.
    pub files: Vec<FileState>,
}

impl Overview {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.locks.is_empty() && self.files.is_empty()
    }
}

/// Looks. Without Consul, as far as it goes: then there is an error besides.
///
/// # Errors
/// 74, 78.
pub fn status(order: &Order, world: &World) -> Result<(Overview, Option<Error>)> {
    let directory = stamp::directory(order.state_dir.as_deref(), world)?;
    let client = order.site.client(world)?;
    let remembered = files::remembered(order, &directory)?;
    let (keys, locks, trouble) = match in_consul(order, &remembered, &client) {
        Ok((keys, locks)) => (keys, locks, None),
        Err(error) => (Vec::new(), Vec::new(), Some(error)),
    };
    let look = |client| files::states(order, &directory, &remembered, &keys, client, world);
    let (files, trouble) = match trouble {
        None => match look(Some(&client)) {
            Err(error) if error.status() != Status::CannotRead => (look(None)?, Some(error)), // It went away meanwhile.
            files => (files?, None),
        },
        trouble => (look(None)?, trouble),
    };
    // A key of another prefix was looked at for its file's sake alone.
    let prefix = order.site.prefix.to_string();
    let keys: Vec<KeyState> = keys.into_iter().filter(|key| key.prefix == prefix).collect();
    let well = trouble.is_none()
        && locks.is_empty()
        && keys.iter().all(|key| key.problem().is_none())
        && files.iter().all(|file| file.problems.is_empty());
    Ok((Overview { well, keys, locks, files }, trouble))
}

fn in_consul(order: &Order, remembered: &[Remembered], client: &Client) -> Result<(Vec<KeyState>, Vec<LockState>)> {
    let prefix = &order.site.prefix;
    let mut wanted: Vec<(Prefix, Key)> = remembered.iter().filter_map(files::document_of).collect();
    match (&order.key, &order.file) {
        (Some(key), _) => wanted.push((prefix.clone(), key.clone())),
        (None, Some(_)) => {}
        (None, None) => wanted.extend(list::keys(client, prefix)?.into_iter().map(|key| (prefix.clone(), key))),
    }
    wanted.sort();
    wanted.dedup();
    let keys = wanted.iter().map(|(prefix, key)| keys::state(client, prefix, key)).collect::<Result<_>>()?;
    Ok((keys, locks::all(order, remembered, client)?))
}
