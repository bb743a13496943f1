//! The status of the keys in Consul, the locks of all nodes, and the files of this node.

mod compare;
mod files;
mod keys;
mod locks;
mod render;

use std::path::PathBuf;

use serde::Serialize;

pub use self::files::FileState;
use self::files::StatusError;
pub use self::keys::KeyState;
pub use self::locks::LockState;
use super::list;
use crate::consul::{self, Client, Failure};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::layout::keys::{Key, Prefix};
use crate::layout::site::Site;
use crate::state::{self, RecordedState};

/// What to show the status of.
pub struct StatusOrder {
    /// `-k`: only this key, and the files installed from it.
    pub key: Option<Key>,
    /// `-f`: only this file, and its key.
    pub file: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// The Consul and the prefix.
    pub site: Site,
}

/// The status of everything that the order selects.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// Whether nothing is wrong: every pair verifies, nothing is stopped or locked, every file has the document that Consul has,
    /// and no handler is pending.
    pub well: bool,
    /// The state directory. Each user has one.
    pub state_dir: String,
    pub keys: Vec<KeyState>,
    pub locks: Vec<LockState>,
    /// The files of this node.
    pub files: Vec<FileState>,
}

impl Overview {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.locks.is_empty() && self.files.is_empty()
    }
}

/// Collects the status. If Consul fails, the overview has what is known without it, and the failure is returned with it.
///
/// # Errors
/// 74, 78.
pub fn status(order: &StatusOrder, context: &Context) -> Result<(Overview, Option<Error>)> {
    let directory = state::directory(order.state_dir.as_deref(), &context.env)?;
    let client = order.site.client(context)?;
    let recorded = files::recorded(order, &directory)?;
    let InConsul { keys, locks, failure } = in_consul(order, &recorded, &client);
    let is_reachable = failure.as_ref().is_none_or(|failure| matches!(failure, Failure::Denied(_)));
    let files_with = |client| files::states(order, &directory, &recorded, &keys, client, context);
    let (files, failure) = match files_with(Some(&client).filter(|_| is_reachable)) {
        Ok(files) => (files, failure),
        Err(StatusError::State(error)) => return Err(error),
        // Consul failed after it had answered for the keys.
        Err(StatusError::Consul(now)) => match files_with(None) {
            Ok(files) => (files, failure.or(Some(now))),
            Err(error) => return Err(error.into()),
        },
    };
    // Keys of other prefixes were read only because a file was installed from them.
    let prefix = order.site.prefix.to_string();
    let keys: Vec<KeyState> = keys.into_iter().filter(|key| key.prefix == prefix).collect();
    let well = failure.is_none()
        && locks.is_empty()
        && keys.iter().all(|key| key.problem().is_none())
        && files.iter().all(|file| file.problems.is_empty());
    let state_dir = directory.path().display().to_string();
    Ok((Overview { well, state_dir, keys, locks, files }, failure.map(Error::from)))
}

/// What was read from Consul.
#[derive(Default)]
struct InConsul {
    keys: Vec<KeyState>,
    locks: Vec<LockState>,
    /// Why it is incomplete. Denied keys do not hide the others.
    failure: Option<Failure>,
}

fn in_consul(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> InConsul {
    let mut found = InConsul::default();
    let selected = match selected(order, recorded, client) {
        Ok(selected) => selected,
        Err(failure) => return InConsul { failure: Some(failure), ..found },
    };
    match keys::states(client, &selected) {
        Ok((keys, denial)) => (found.keys, found.failure) = (keys, denial),
        Err(failure) => return InConsul { failure: Some(failure), ..found },
    }
    match locks::all(order, recorded, client) {
        Ok(locks) => InConsul { locks, ..found },
        Err(failure) => InConsul { failure: Some(failure), ..found },
    }
}

/// The keys that the order selects.
fn selected(order: &StatusOrder, recorded: &[RecordedState], client: &Client) -> consul::Result<Vec<(Prefix, Key)>> {
    let prefix = &order.site.prefix;
    let mut selected: Vec<(Prefix, Key)> = recorded.iter().filter_map(files::document_of).collect();
    match (&order.key, &order.file) {
        (Some(key), _) => selected.push((prefix.clone(), key.clone())),
        (None, Some(_)) => {}
        (None, None) => selected.extend(list::keys(client, prefix)?.into_iter().map(|key| (prefix.clone(), key))),
    }
    selected.sort();
    selected.dedup();
    Ok(selected)
}
