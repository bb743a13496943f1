//! The layout of keys in the KV store. It is kvexpress's layout, so both programs can read each other's keys.
//!
//! ```text
//! PREFIX/KEY/data      PREFIX/KEY/checksum      PREFIX/KEY/stop
//! PREFIX/locks/<hex SHA-256 of the file's path>/<hostname>
//! ```
//!
//! kvexpress ignores what only kvx writes:
//!
//! ```text
//! PREFIX/KEY/record    PREFIX/KEY/hold
//! PREFIX/kvx/history/KEY/<time>-<checksum>      PREFIX/kvx/parts/KEY/<checksum>
//! ```

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::history::VersionName;
use super::names;
use crate::document::Checksum;

/// The folder of all keys in the KV store (`-p`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

/// The name of a document (`-k`). It may contain slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

/// The source of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `-k`: a document with its checksum.
    Document(Key),
    /// `--raw`: the plain value of any key in the KV store.
    Value(ValuePath),
}

/// The path of a value in the KV store, without leading and trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuePath(String);

/// The paths of a key in the KV store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPaths {
    /// `PREFIX/KEY/data`.
    pub data: String,
    /// `PREFIX/KEY/checksum`.
    pub checksum: String,
    /// `PREFIX/KEY/stop`.
    pub stop: String,
    /// `PREFIX/KEY/hold`.
    pub hold: String,
    /// `PREFIX/KEY/record`.
    pub record: String,
    /// The folders of the history.
    pub history: HistoryPaths,
}

impl KeyPaths {
    /// The paths of this key.
    pub fn of(prefix: &Prefix, key: &Key) -> KeyPaths {
        let path = |part: Part| format!("{prefix}/{key}/{}", part.name());
        KeyPaths {
            data: path(Part::Data),
            checksum: path(Part::Checksum),
            stop: path(Part::Stop),
            hold: path(Part::Hold),
            record: path(Part::Record),
            history: HistoryPaths::of(prefix, key),
        }
    }

    /// `PREFIX/KEY`, as in the key's record.
    pub fn folder(&self) -> &str {
        self.data.strip_suffix("/data").unwrap_or(&self.data)
    }
}

/// The folders of a key's history in the KV store. A key's own folder has only what nodes need: everything in it wakes their
/// `keyprefix` watches and is part of each payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPaths {
    /// `PREFIX/kvx/history/KEY`: an entry for each version, named `<time>-<checksum>`.
    pub versions: String,
    /// `PREFIX/kvx/parts/KEY`: the documents of the versions, named by their checksums.
    pub parts: String,
}

impl HistoryPaths {
    /// The folders of this key.
    pub fn of(prefix: &Prefix, key: &Key) -> HistoryPaths {
        let folder = |name: &str| format!("{prefix}/{name}/{key}");
        HistoryPaths { versions: folder(HISTORY), parts: folder(PARTS) }
    }

    /// The path of a version.
    pub fn version(&self, name: VersionName) -> String {
        format!("{}/{name}", self.versions)
    }

    /// The path of the document with this checksum.
    pub fn part(&self, checksum: Checksum) -> String {
        format!("{}/{checksum}", self.parts)
    }
}

/// An entry in the folder of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The document, possibly encoded.
    Data,
    /// The checksum of the document.
    Checksum,
    /// The stop: while it exists, the document is not installed. Its value is the reason.
    Stop,
    /// The hold: while it exists, no other document is installed.
    Hold,
    /// The record of the document.
    Record,
}

impl Part {
    const ALL: [Part; 5] = [Part::Data, Part::Checksum, Part::Stop, Part::Hold, Part::Record];
}

/// The folder of the locks. A key cannot have this name.
const LOCKS: &str = "locks";
/// The folder of what only kvx writes, and what nodes do not need to install. A key cannot have this name.
const KVX: &str = "kvx";
/// The folders of the versions and of their documents.
const HISTORY: &str = "kvx/history";
const PARTS: &str = "kvx/parts";

/// kvexpress's default.
impl Default for Prefix {
    fn default() -> Prefix {
        Prefix("kvexpress".into())
    }
}

impl Prefix {
    /// Parses a prefix. Leading and trailing slashes are dropped (kvexpress drops a leading one).
    pub fn parse(text: &str) -> Result<Prefix, String> {
        names::path_decoded(text).map(Prefix)
    }

    /// The path of the lock of a file, which is given by its absolute path, on one host.
    pub fn lock(&self, file: &Path, hostname: &str) -> String {
        format!("{}/{LOCKS}/{}/{hostname}", self.0, Checksum::of(file.as_os_str().as_bytes()))
    }

    /// Splits the path of a lock into the hash of the file's path and the host; `None` if it is not the path of a lock.
    pub fn split_lock<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let (hash, host) = path.strip_prefix(&self.locks())?.strip_prefix('/')?.split_once('/')?;
        let is_hash = Checksum::parse(hash.as_bytes()).is_some_and(|known| known.to_string() == hash);
        (is_hash && !host.is_empty() && !host.contains('/')).then_some((hash, host))
    }

    /// The folder of all locks.
    pub fn locks(&self) -> String {
        format!("{}/{LOCKS}", self.0)
    }

    /// Splits a path in the KV store into the key and its part; `None` if it is not exactly a path of [`KeyPaths`]. For
    /// example, `KEY//data` is another path than `KEY/data`, so it is neither the key's document nor its stop.
    pub fn split(&self, path: &str) -> Option<(Key, Part)> {
        let (name, part) = path.strip_prefix(&self.0)?.strip_prefix('/')?.rsplit_once('/')?;
        let part = Part::ALL.into_iter().find(|known| known.name() == part)?;
        let key = Key::parse(name).ok()?;
        (key.0 == name).then_some((key, part))
    }
}

impl Key {
    /// Parses a key. Leading and trailing slashes are dropped. Rejected are empty segments, `.` and `..` (which HTTP
    /// servers remove), names that some version of Consul does not find again, and the folders of locks and history.
    pub fn parse(text: &str) -> Result<Key, String> {
        let key = names::path_decoded(text)?;
        match key.split('/').next() {
            Some(LOCKS) => Err(format!("\"{LOCKS}\" is the folder of the locks, not a key")),
            Some(KVX) => Err(format!(
                "\"{KVX}\" is the folder of the history, not a key; move such a key to another name with `consul kv`"
            )),
            _ => Ok(Key(key)),
        }
    }

    /// Whether the key's folder is inside a folder that could be another key's.
    pub fn is_nested(&self) -> bool {
        self.0.contains('/')
    }

    /// Whether `other` is in this key's folder, so that a `keyprefix` watch on this key has it in its payload.
    pub fn contains(&self, other: &Key) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Data => "data",
            Part::Checksum => "checksum",
            Part::Stop => "stop",
            Part::Hold => "hold",
            Part::Record => "record",
        }
    }
}

impl ValuePath {
    /// Parses a path. Leading and trailing slashes are dropped. kvx only reads values, so it accepts percent-encoded
    /// names, which other programs may have chosen.
    pub fn parse(text: &str) -> Result<ValuePath, String> {
        names::path(text).map(ValuePath)
    }

    /// The path as the API expects it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Document(key) => key.fmt(f),
            Subject::Value(path) => path.0.fmt(f),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
