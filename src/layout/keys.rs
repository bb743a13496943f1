//! kvexpress's layout of keys in the KV store: both programs read each other's.
//!
//! ```text
//! PREFIX/KEY/data      PREFIX/KEY/checksum      PREFIX/KEY/stop
//! PREFIX/locks/<hex SHA-256 of the file's path>/<hostname>
//! ```

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::names;
use crate::document::Checksum;

/// The KV folder of all keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

/// The name of one file in transit, as in `-k`. It may have slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `-k`: a document with its checksum.
    Document(Key),
    /// `--raw`: the value of any key in the KV store, as it is.
    Value(ValuePath),
}

/// The path of a value in the KV store, without slashes around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuePath(String);

/// Where a key is in the KV store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPaths {
    /// `PREFIX/KEY/data`.
    pub data: String,
    /// `PREFIX/KEY/checksum`.
    pub checksum: String,
    /// `PREFIX/KEY/stop`.
    pub stop: String,
}

impl KeyPaths {
    /// Of this key.
    pub fn of(prefix: &Prefix, key: &Key) -> KeyPaths {
        let path = |part: Part| format!("{prefix}/{key}/{}", part.name());
        KeyPaths { data: path(Part::Data), checksum: path(Part::Checksum), stop: path(Part::Stop) }
    }
}

/// The part of a key's folder that a path in the KV store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The document, perhaps encoded.
    Data,
    /// Its checksum.
    Checksum,
    /// The mark that nobody installs it, and why.
    Stop,
}

/// The folder of the locks, which is therefore no key's name.
const LOCKS: &str = "locks";

/// kvexpress's own.
impl Default for Prefix {
    fn default() -> Prefix {
        Prefix("kvexpress".into())
    }
}

impl Prefix {
    /// Reads a prefix. Slashes around it are dropped (kvexpress drops a leading one).
    pub fn parse(text: &str) -> Result<Prefix, String> {
        names::path_decoded(text).map(Prefix)
    }

    /// The lock of a file, given by its absolute path, on one host.
    pub fn lock(&self, file: &Path, hostname: &str) -> String {
        format!("{}/{LOCKS}/{}/{hostname}", self.0, Checksum::of(file.as_os_str().as_bytes()))
    }

    /// Splits the path of a lock into the hash of the file's path, and the host; none where it is not exactly a lock's.
    pub fn split_lock<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let (hash, host) = path.strip_prefix(&self.locks())?.strip_prefix('/')?.split_once('/')?;
        let is_hash = Checksum::parse(hash.as_bytes()).is_some_and(|known| known.to_string() == hash);
        (is_hash && !host.is_empty() && !host.contains('/')).then_some((hash, host))
    }

    /// The folder of all locks.
    pub fn locks(&self) -> String {
        format!("{}/{LOCKS}", self.0)
    }

    /// Splits a path in the KV store into the key and its part; none where it is not exactly the path that [`KeyPaths`] has for
    /// them. `KEY//data` is another path than `KEY/data`: what stands there is neither the key's document nor its stop.
    pub fn split(&self, path: &str) -> Option<(Key, Part)> {
        let (name, part) = path.strip_prefix(&self.0)?.strip_prefix('/')?.rsplit_once('/')?;
        let part = [Part::Data, Part::Checksum, Part::Stop].into_iter().find(|known| known.name() == part)?;
        let key = Key::parse(name).ok()?;
        (key.0 == name).then_some((key, part))
    }
}

impl Key {
    /// Reads a key. Slashes around it are dropped; empty segments, `.` and `..` (which HTTP servers tidy away), and what some
    /// Consul does not find again, are refused, and so is the folder of the locks.
    pub fn parse(text: &str) -> Result<Key, String> {
        let key = names::path_decoded(text)?;
        match key.split('/').next() {
            Some(LOCKS) => Err(format!("\"{LOCKS}\" is the folder of the locks, not a key")),
            _ => Ok(Key(key)),
        }
    }

    /// Whether its folder is in what could be another key's.
    pub fn is_nested(&self) -> bool {
        self.0.contains('/')
    }

    /// Whether `other` is in this key's folder, and therefore in the payload of a `keyprefix` watch on it.
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
        }
    }
}

impl ValuePath {
    /// Reads a path. Slashes around it are dropped. It is only read, so it may be percent-encoded, as others may have it.
    pub fn parse(text: &str) -> Result<ValuePath, String> {
        names::path(text).map(ValuePath)
    }

    /// As the API wants it.
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
