//! Compares a file with the document that was installed and with the document in Consul.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::keys::{HoldState, KeyState};
use crate::document::{Checksum, LARGEST};
use crate::install::{Installed, Parents, Target};
use crate::state::{LastRun, State};
use crate::util::time::ago;

/// Whether the document of a file's key is known, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAccess {
    /// The key has a document.
    Ok,
    /// The key does not exist.
    Absent,
    /// Data and checksum do not match.
    Torn,
    /// This token cannot read the key.
    Denied,
    /// Consul was not asked, or the file's key is not recorded.
    Unknown,
}

/// Whether the document of a file's key is known, and its checksum.
pub(super) fn key_access(key: Option<&KeyState>) -> (KeyAccess, Option<String>) {
    match key {
        None => (KeyAccess::Unknown, None),
        Some(key) if key.denied => (KeyAccess::Denied, None),
        // The document that nodes keep, whatever else Consul has.
        Some(KeyState { hold: Some(HoldState { checksum: Some(held), .. }), .. }) => {
            (KeyAccess::Ok, Some(held.clone()))
        }
        Some(key) if key.torn.is_some() => (KeyAccess::Torn, None),
        Some(KeyState { checksum: None, .. }) => (KeyAccess::Absent, None),
        Some(key) => (KeyAccess::Ok, key.checksum.clone()),
    }
}

/// What is wrong with the content of an existing file: `on_disk` and `in_consul` are checksums.
pub(super) fn content_problem(
    state: &State,
    on_disk: Option<&str>,
    key: KeyAccess,
    in_consul: Option<&str>,
) -> Option<String> {
    let is_ours = on_disk == state.checksum.as_deref();
    let reloads = !(state.handlers.is_empty() && state.pending.is_empty());
    match (in_consul, state.checksum.as_deref()) {
        (Some(_), _) if on_disk == in_consul => (!is_ours && reloads).then(|| {
            "the same document as in Consul, but not installed by kvx-out: its handlers are pending".to_owned()
        }),
        (Some(current), _) if is_ours => Some(format!("behind: Consul has {}", short(current))),
        (_, None) => Some("never installed by kvx-out".into()),
        (_, Some(installed)) if !is_ours => {
            Some(format!("changed outside kvx-out: {} was installed", short(installed)))
        }
        _ => match key {
            KeyAccess::Denied => Some("denied: this token cannot read its key".into()),
            KeyAccess::Absent => Some("its key is not in Consul".into()),
            KeyAccess::Torn => Some("its key is torn".into()),
            KeyAccess::Ok | KeyAccess::Unknown => None,
        },
    }
}

/// One line about the last run. Of a failure's message only the cause; the remedies are in the JSON and in the log.
pub(super) fn describe(run: &LastRun) -> String {
    let when = UNIX_EPOCH.checked_add(Duration::from_secs(run.time)).map_or_else(|| "at an unknown time".into(), ago);
    match run.status {
        0 => format!("last run {when}: {}", run.result),
        status => format!("last run {when}: {status}, {}", run.line.split("; ").next().unwrap_or_default()),
    }
}

fn short(checksum: &str) -> String {
    Checksum::parse(checksum.as_bytes()).map_or("nothing".into(), |known| known.short().to_string())
}

pub(super) enum FileOnDisk {
    Missing,
    Unreadable(String),
    Exists(Box<Installed>),
}

impl FileOnDisk {
    pub fn read(file: &Path) -> FileOnDisk {
        // If the path cannot be resolved, the file's directory does not exist.
        let Ok(target) = Target::resolve(file, Parents::MustExist) else { return FileOnDisk::Missing };
        match target.installed(LARGEST) {
            Ok(None) => FileOnDisk::Missing,
            Ok(Some(installed)) => FileOnDisk::Exists(Box::new(installed)),
            Err(error) => FileOnDisk::Unreadable(error.to_string()),
        }
    }
}

/// `None` if the file is larger than any document.
pub(super) fn checksum_of(installed: &Installed) -> Option<String> {
    installed.checksum.map(|checksum| checksum.to_string())
}
