//! How everything is: the keys in Consul, the locks of all nodes, the files of this one.

mod compare;
mod files;
mod keys;
mod locks;
mod render;
mod table;

use std::path::PathBuf;

use serde::Serialize;

pub use self::files::FileState;
use self::files::LookError;
pub use self::keys::KeyState;
pub use self::locks::LockState;
use super::list;
use crate::consul::{self, Client, Failure};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::layout::keys::{Key, Prefix};
use crate::layout::site::Site;
use crate::state::{self, RecordedState};

/// What to look at.
pub struct StatusOrder {
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
    /// is pending.
    pub well: bool,
    /// Where it is recorded what is installed: each user has his own.
    pub state_dir: String,
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
pub fn status(order: &StatusOrder, context: &Context) -> Result<(Overview, Option<Error>)> {
    let directory = state::directory(order.state_dir.as_deref(), &context.env)?;
    let client = order.site.client(context)?;
    let recorded = files::recorded(order, &directory)?;
    let InConsul { keys, locks, failure } = in_consul(order, &recorded, &client);
    let is_reachable = failure.as_ref().is_none_or(|failure| matches!(failure, Failure::Denied(_)));
    let look = |client| files::states(order, &directory, &recorded, &keys, client, context);
    let (files, failure) = match look(Some(&client).filter(|_| is_reachable)) {
        Ok(files) => (files, failure),
        Err(LookError::State(error)) => return Err(error),
        // It went away meanwhile.
        Err(LookError::Consul(now)) => match look(None) {
            Ok(files) => (files, failure.or(Some(now))),
            Err(error) => return Err(error.into()),
        },
    };
    // A key of another prefix was looked at for its file's sake alone.
    let prefix = order.site.prefix.to_string();
    let keys: Vec<KeyState> = keys.into_iter().filter(|key| key.prefix == prefix).collect();
    let well = failure.is_none()
        && locks.is_empty()
        && keys.iter().all(|key| key.problem().is_none())
        && files.iter().all(|file| file.problems.is_empty());
    let state_dir = directory.path().display().to_string();
    Ok((Overview { well, state_dir, keys, locks, files }, failure.map(Error::from)))
}

/// What Consul has, as far as it goes.
#[derive(Default)]
struct InConsul {
    keys: Vec<KeyState>,
    locks: Vec<LockState>,
    /// What may not be read does not hide the rest.
    failure: Option<Failure>,
}

fn in_consul(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> InConsul {
    let mut found = InConsul::default();
    let wanted = match wanted(order, recorded, client) {
        Ok(wanted) => wanted,
        Err(failure) => return InConsul { failure: Some(failure), ..found },
    };
    match keys::states(client, &wanted) {
        Ok((keys, denial)) => (found.keys, found.failure) = (keys, denial),
        Err(failure) => return InConsul { failure: Some(failure), ..found },
    }
    match locks::all(order, recorded, client) {
        Ok(locks) => InConsul { locks, ..found },
        Err(failure) => InConsul { failure: Some(failure), ..found },
    }
}

/// The keys to look at.
fn wanted(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> consul::Result<Vec<(Prefix, Key)>> {
    let prefix = &order.site.prefix;
    let mut wanted: Vec<(Prefix, Key)> = recorded.iter().filter_map(files::document_of).collect();
    match (&order.key, &order.file) {
        (Some(key), _) => wanted.push((prefix.clone(), key.clone())),
        (None, Some(_)) => {}
        (None, None) => wanted.extend(list::keys(client, prefix)?.into_iter().map(|key| (prefix.clone(), key))),
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}
