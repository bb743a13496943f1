//! A file held against what was installed and against what Consul has.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::keys::KeyState;
use crate::document::{Checksum, LARGEST};
use crate::install::{Installed, Parents, Target};
use crate::state::{LastRun, State};
use crate::util::time::ago;

/// What of a file's key can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAccess {
    /// It has a document.
    Ok,
    /// It has none.
    Absent,
    /// Data and checksum do not match.
    Torn,
    /// This token may not read it.
    Denied,
    /// Consul was not asked, or which key it is is not known.
    Unknown,
}

/// What a key is to the file that is made of it; with its checksum.
pub(super) fn access(key: Option<&KeyState>) -> (KeyAccess, Option<String>) {
    match key {
        None => (KeyAccess::Unknown, None),
        Some(key) if key.denied => (KeyAccess::Denied, None),
        Some(key) if key.torn.is_some() => (KeyAccess::Torn, None),
        Some(KeyState { checksum: None, .. }) => (KeyAccess::Absent, None),
        Some(key) => (KeyAccess::Ok, key.checksum.clone()),
    }
}

/// How a file that is there is, held against what was installed and what Consul has.
pub(super) fn compared(state: &State, is: Option<&str>, key: KeyAccess, there: Option<&str>) -> Option<String> {
    let is_ours = is == state.checksum.as_deref();
    let reloads = !(state.handlers.is_empty() && state.pending.is_empty());
    match (there, state.checksum.as_deref()) {
        (Some(_), _) if is == there => (!is_ours && reloads).then(|| {
            "the same document as in Consul, but not installed by kvx-out: its handlers are pending".to_owned()
        }),
        (Some(there), _) if is_ours => Some(format!("behind: Consul has {}", short(there))),
        (_, None) => Some("never installed by kvx-out".into()),
        (_, Some(installed)) if !is_ours => {
            Some(format!("changed by somebody else: {} was installed", short(installed)))
        }
        _ => match key {
            KeyAccess::Denied => Some("denied: this token cannot read its key".into()),
            KeyAccess::Absent => Some("its key is not in Consul".into()),
            KeyAccess::Torn => Some("its key is torn".into()),
            KeyAccess::Ok | KeyAccess::Unknown => None,
        },
    }
}

/// How a run ended. Of a failure's line, what happened: what to do about it is in the JSON, and in the log.
pub(super) fn ended(run: &LastRun) -> String {
    let when = UNIX_EPOCH.checked_add(Duration::from_secs(run.time)).map_or_else(|| "at an unknown time".into(), ago);
    match run.status {
        0 => format!("last run {when}: {}", run.result),
        status => format!("last run {when}: {status}, {}", run.line.split("; ").next().unwrap_or_default()),
    }
}

fn short(checksum: &str) -> String {
    Checksum::parse(checksum.as_bytes()).map_or("nothing".into(), |known| known.short().to_string())
}

/// A file as it is now.
pub(super) enum Disk {
    Missing,
    Unreadable(String),
    Has(Box<Installed>),
}

impl Disk {
    pub fn look(file: &Path) -> Disk {
        let Ok(target) = Target::resolve(file, Parents::MustExist) else { return Disk::Missing }; // Its directory is gone.
        match target.installed(LARGEST) {
            Ok(None) => Disk::Missing,
            Ok(Some(installed)) => Disk::Has(Box::new(installed)),
            Err(error) => Disk::Unreadable(error.to_string()),
        }
    }
}

/// None where it is larger than any document.
pub(super) fn checksum_of(installed: &Installed) -> Option<String> {
    installed.checksum.map(|checksum| checksum.to_string())
}
