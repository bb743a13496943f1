//! What is recorded of one file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LastRun;
use crate::document::Checksum;
use crate::install::Wanted;
use crate::util::time::seconds_now;

/// What is recorded of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The file, canonical.
    pub path: String,
    /// As it was named, where that is something else: a lock is of that path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The key it came from.
    pub key: String,
    /// The checksum of what was installed, in hex; none where no run has come so far yet, and then only the last run counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The index of the document in Consul.
    #[serde(default)]
    pub index: u64,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub time: u64,
    /// The handlers that have succeeded since then.
    #[serde(default)]
    pub handlers: Vec<HandlerRecord>,
    /// Those that have not, as far as runs knew of them. (Others may be pending of which nobody knows yet.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<HandlerRecord>,
    /// The prefix of the key; none where it is the path of a value (`--raw`).
    #[serde(default)]
    pub prefix: Option<String>,
    /// The command line that wrote this, to be run again; empty where it may not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Written before it is put in its place: until that has surely come to its end, and onto the disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// What the command line wants of its mode and owner; a file that has something else has drifted.
    #[serde(default, skip_serializing_if = "Wanted::is_nothing")]
    pub wanted: Wanted,
    /// How the last run ended that did something, failed, or ended otherwise than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// A handler of which a run knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerRecord {
    /// Its id.
    pub handler: String,
    /// For people.
    pub words: String,
}

impl State {
    /// Of a document about to be installed: no handler has run for it.
    pub fn new(path: &Path, key: &str, checksum: Checksum, index: u64) -> State {
        State {
            checksum: Some(checksum.to_string()),
            index,
            time: seconds_now(),
            unfinished: true,
            ..State::of_nothing(path, key)
        }
    }

    /// Of a file for which no run has installed anything.
    pub fn of_nothing(path: &Path, key: &str) -> State {
        State {
            path: path.to_string_lossy().into_owned(),
            named: None,
            key: key.to_owned(),
            checksum: None,
            index: 0,
            time: 0,
            handlers: Vec::new(),
            pending: Vec::new(),
            prefix: None,
            command: Vec::new(),
            unfinished: false,
            wanted: Wanted::default(),
            last_run: None,
        }
    }

    /// The path by which the file is locked.
    pub fn locked_as(&self) -> &Path {
        Path::new(self.named.as_ref().unwrap_or(&self.path))
    }

    /// Whether it is of the same key, and locked by the same path.
    pub(super) fn is_made_as(&self, other: &State) -> bool {
        (&self.key, &self.prefix, &self.named) == (&other.key, &other.prefix, &other.named)
    }

    /// Whether it is of this document.
    pub fn is_of(&self, checksum: Checksum) -> bool {
        self.checksum.as_ref().is_some_and(|is| *is == checksum.to_string())
    }

    /// Whether this handler still has to run for this checksum.
    pub fn is_pending(&self, handler: &str, checksum: Checksum) -> bool {
        !self.is_of(checksum) || !self.handlers.iter().any(|ran| ran.handler == handler)
    }
}
