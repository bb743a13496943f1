//! A snapshot of a key in Consul: its document, its stop and the lock of the file at the same moment. Every part of kvx
//! reads documents through this module, so that the same error always has the same message.

use std::time::Duration;

use crate::consul::{self, Client, Consistency, Endpoint, Entries, Entry};
use crate::error::{Error, Result, Status};
use crate::layout::keys::{KeyPaths, Prefix, Subject};
use crate::layout::marker;
use crate::layout::pair::{Pair, PairState, VerifiedPair};

/// The location of a document in Consul.
#[derive(Debug)]
pub enum Location {
    /// A pair of data and checksum.
    Pair(KeyPaths),
    /// The path of a single value (`--raw`).
    Value(String),
}

impl Location {
    /// The location of a subject's document.
    pub fn of(subject: &Subject, prefix: &Prefix) -> Location {
        match subject {
            Subject::Document(key) => Location::Pair(KeyPaths::of(prefix, key)),
            Subject::Value(path) => Location::Value(path.as_str().to_owned()),
        }
    }

    /// The path of the data.
    pub fn data(&self) -> &str {
        match self {
            Location::Pair(paths) => &paths.data,
            Location::Value(path) => path,
        }
    }

    /// The path that an upload writes last.
    pub fn last(&self) -> &str {
        match self {
            Location::Pair(paths) => &paths.checksum,
            Location::Value(path) => path,
        }
    }

    /// The paths of the document's parts; a value has only itself.
    pub fn paths(&self) -> Option<&KeyPaths> {
        match self {
            Location::Pair(paths) => Some(paths),
            Location::Value(_) => None,
        }
    }

    fn documents(&self) -> Vec<&str> {
        match self {
            Location::Pair(paths) => vec![&paths.data, &paths.checksum],
            Location::Value(path) => vec![path],
        }
    }

    fn take(&self, entries: &mut Entries) -> PairState {
        match self {
            Location::Pair(paths) => Pair::take(entries, paths).verify(),
            Location::Value(path) => PairState::of_value(entries.take(path)),
        }
    }

    /// The error for a document that does not exist.
    pub fn absent(&self, endpoint: &Endpoint) -> Error {
        self.absent_after(endpoint, None)
    }

    /// The error for a document that does not exist, also after waiting for it.
    pub fn absent_after(&self, endpoint: &Endpoint, waited: Option<Duration>) -> Error {
        let (path, remedy) = match self {
            Location::Pair(paths) => (&paths.data, "upload it with kvx-in, or check -k and -p"),
            Location::Value(path) => (path, "write it, or check --raw, which takes the full path of a key"),
        };
        Status::NoSuchKey.error(match waited {
            None => format!("there is no {path} in Consul at {endpoint}; {remedy}"),
            Some(limit) => format!(
                "there was no {} in Consul at {endpoint} within {} (--wait); {remedy}",
                self.last(),
                humantime::format_duration(limit)
            ),
        })
    }

    /// The error for data and checksum that do not match, also after waiting for a matching pair.
    pub fn torn(&self, why: &str, waited: Option<Duration>) -> Error {
        let waited = waited.map(|limit| format!(" (for {})", humantime::format_duration(limit))).unwrap_or_default();
        let paths = self.documents().join(" and ");
        Status::TryAgain
            .error(format!("{paths} in Consul are torn: {why}{waited}; upload the document again with kvx-in"))
    }
}

/// The paths of what to read with a document.
#[derive(Clone, Copy, Default)]
pub struct Others<'a> {
    pub stop: Option<&'a str>,
    pub lock: Option<&'a str>,
    pub record: Option<&'a str>,
    pub hold: Option<&'a str>,
    /// Whether a hold that the token must not read is ignored, as kvexpress would do.
    pub hold_may_be_denied: bool,
}

/// The result of one read.
#[derive(Debug)]
pub struct Snapshot {
    /// The document.
    pub state: PairState,
    /// The reason of the stop, if its path was given and it is set.
    pub stop: Option<String>,
    /// The reason of the lock, if its path was given and it is set.
    pub lock: Option<String>,
    /// The record, if its path was given and it exists.
    pub record: Option<Entry>,
    /// The hold, if its path was given and it exists.
    pub hold: Option<Entry>,
    /// See [`Entries::is_fresh`].
    pub is_fresh: bool,
}

impl Snapshot {
    /// Reads a document, and the other entries at these paths.
    ///
    /// # Errors
    /// Those of [`Client::read`].
    pub fn read(
        client: &Client,
        consistency: Consistency,
        location: &Location,
        Others { stop, lock, record, hold, hold_may_be_denied }: Others,
    ) -> consul::Result<Snapshot> {
        let markers: Vec<&str> = [stop, lock, record, hold].into_iter().flatten().collect();
        let (mut entries, denied) = client.read_each(consistency, &location.documents(), &markers)?;
        let is_tolerated = |path: &str| hold_may_be_denied && Some(path) == hold;
        if let Some((_, denial)) = denied.into_iter().find(|(path, _)| !is_tolerated(path)) {
            return Err(denial);
        }
        let is_fresh = entries.is_fresh();
        let mut reason = |path: &str| entries.take(path).as_ref().and_then(marker::reason);
        let (stop, lock) = (stop.and_then(&mut reason), lock.and_then(reason));
        let (record, hold) = (record.and_then(|path| entries.take(path)), hold.and_then(|path| entries.take(path)));
        Ok(Snapshot { state: location.take(&mut entries), stop, lock, record, hold, is_fresh })
    }
}

/// Reads the document of a key.
///
/// # Errors
/// 66 if it does not exist, 75 if it is torn; 65, 69, 77 and 78 as [`Client::read`].
pub fn verified(client: &Client, paths: KeyPaths) -> Result<VerifiedPair> {
    let location = Location::Pair(paths);
    let read =
        |consistency| Snapshot::read(client, consistency, &location, Others::default()).map(|snapshot| snapshot.state);
    let state = match read(Consistency::Default)? {
        PairState::Absent => read(Consistency::CONFIRMS_ABSENCE)?,
        state => state,
    };
    match state {
        PairState::Verified(pair) => Ok(pair),
        PairState::Torn(torn) => Err(location.torn(torn.why, None)),
        PairState::Absent => Err(location.absent(client.endpoint())),
    }
}
