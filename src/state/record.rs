//! The state that is recorded of an installed file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LastRun;
use crate::document::Checksum;
use crate::install::Wanted;
use crate::util::time::seconds_now;

/// The recorded state of an installed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The canonical path of the file.
    pub path: String,
    /// The path on the command line, if it differs. `kvx lock` locks this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The key that the document comes from.
    pub key: String,
    /// The checksum of the installed document, in hex. None if no run has installed one yet; then only `last_run` has a
    /// meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The index of the document in Consul.
    #[serde(default)]
    pub index: u64,
    /// When it was installed, in seconds since 1970.
    #[serde(default)]
    pub time: u64,
    /// The handlers that have succeeded since then.
    #[serde(default)]
    pub handlers: Vec<HandlerRecord>,
    /// The handlers that are known to be pending. A handler that no run knew yet may be pending as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<HandlerRecord>,
    /// The prefix of the key; none if the key is the path of a value (`--raw`).
    #[serde(default)]
    pub prefix: Option<String>,
    /// The command line that installed the file, so that it can be run again; empty if it must not be recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// True from before the installation begins until the file is installed and on disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// The mode and owner that the command line demands. A file with others has drifted.
    #[serde(default, skip_serializing_if = "Wanted::is_nothing")]
    pub wanted: Wanted,
    /// How the last run ended that changed something, failed, or had another result than the run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// A handler that a run had on its command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerRecord {
    /// The handler's id.
    pub handler: String,
    /// Its command line, for display.
    pub words: String,
}

impl State {
    /// The state of a document that is about to be installed. No handler has run for it.
    pub fn new(path: &Path, key: &str, checksum: Checksum, index: u64) -> State {
        State {
            checksum: Some(checksum.to_string()),
            index,
            time: seconds_now(),
            unfinished: true,
            ..State::without_document(path, key)
        }
    }

    /// The state of a file for which no run has installed a document.
    pub fn without_document(path: &Path, key: &str) -> State {
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

    /// The path that `kvx lock` locks.
    pub fn locked_as(&self) -> &Path {
        Path::new(self.named.as_ref().unwrap_or(&self.path))
    }

    /// Whether both states have the same key, and the file is locked by the same path.
    pub(super) fn has_same_source(&self, other: &State) -> bool {
        (&self.key, &self.prefix, &self.named) == (&other.key, &other.prefix, &other.named)
    }

    /// Whether this document is the recorded one.
    pub fn has_document(&self, checksum: Checksum) -> bool {
        self.checksum.as_ref().is_some_and(|recorded| *recorded == checksum.to_string())
    }

    /// Whether this handler is pending for this document.
    pub fn is_pending(&self, handler: &str, checksum: Checksum) -> bool {
        !self.has_document(checksum) || !self.handlers.iter().any(|ran| ran.handler == handler)
    }
}
