//! A key in Consul as it is at one moment: its document, and whether it is stopped or the file locked. Every part of kvx that
//! reads a document reads it here, and says in the same words what is wrong with it.

use std::time::Duration;

use crate::consul::{self, Client, Consistency, Endpoint, Entries};
use crate::error::{Error, Result, Status};
use crate::layout::keys::{KeyPaths, Prefix, Subject};
use crate::layout::marker;
use crate::layout::pair::{Pair, PairState, VerifiedPair};

/// Where a document is in Consul.
#[derive(Debug)]
pub enum Location {
    /// Data with a checksum next to it.
    Pair(KeyPaths),
    /// A single value, by its path (`--raw`).
    Value(String),
}

impl Location {
    /// Where a subject's document is.
    pub fn of(subject: &Subject, prefix: &Prefix) -> Location {
        match subject {
            Subject::Document(key) => Location::Pair(KeyPaths::of(prefix, key)),
            Subject::Value(path) => Location::Value(path.as_str().to_owned()),
        }
    }

    /// The path of the document itself.
    pub fn data(&self) -> &str {
        match self {
            Location::Pair(paths) => &paths.data,
            Location::Value(path) => path,
        }
    }

    /// The path that a writer sets last.
    pub fn last(&self) -> &str {
        match self {
            Location::Pair(paths) => &paths.checksum,
            Location::Value(path) => path,
        }
    }

    /// The path of the stop; a value has none.
    pub fn stop(&self) -> Option<&str> {
        match self {
            Location::Pair(paths) => Some(&paths.stop),
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

    /// The error that nothing is stored there.
    pub fn absent(&self, endpoint: &Endpoint) -> Error {
        self.absent_after(endpoint, None)
    }

    /// The same after waiting for it.
    pub fn absent_after(&self, endpoint: &Endpoint, waited: Option<Duration>) -> Error {
        let (path, remedy) = match self {
            Location::Pair(paths) => (&paths.data, "upload it with kvx-in, or check -k and -p"),
            Location::Value(path) => (path, "put it there, or check --raw, which takes a whole path"),
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

    /// The error that data and checksum do not match, also after so long.
    pub fn torn(&self, why: &str, waited: Option<Duration>) -> Error {
        let waited = waited.map(|limit| format!(" (for {})", humantime::format_duration(limit))).unwrap_or_default();
        let paths = self.documents().join(" and ");
        Status::TryAgain
            .error(format!("{paths} in Consul are torn: {why}{waited}; upload the document again with kvx-in"))
    }
}

/// What one read brought.
#[derive(Debug)]
pub struct Snapshot {
    /// The document.
    pub state: PairState,
    /// Why the key is stopped, if it is and that was asked for.
    pub stop: Option<String>,
    /// Why the file is locked, if it is and that was asked for.
    pub lock: Option<String>,
    /// See [`Entries::is_fresh`].
    pub is_fresh: bool,
}

impl Snapshot {
    /// Reads a document, and the stop and the lock at these paths.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn read(
        client: &Client,
        consistency: Consistency,
        location: &Location,
        stop: Option<&str>,
        lock: Option<&str>,
    ) -> consul::Result<Snapshot> {
        let markers: Vec<&str> = stop.into_iter().chain(lock).collect();
        let mut entries = client.read(consistency, &location.documents(), &markers)?;
        let is_fresh = entries.is_fresh();
        let mut reason = |path: &str| entries.take(path).as_ref().and_then(marker::reason);
        let (stop, lock) = (stop.and_then(&mut reason), lock.and_then(reason));
        Ok(Snapshot { state: location.take(&mut entries), stop, lock, is_fresh })
    }
}

/// The document of a key, which must be there and verify.
///
/// # Errors
/// 66, 75; 69, 77, 78.
pub fn verified(client: &Client, paths: KeyPaths) -> Result<VerifiedPair> {
    let location = Location::Pair(paths);
    match Snapshot::read(client, Consistency::Default, &location, None, None)?.state {
        PairState::Verified(pair) => Ok(pair),
        PairState::Torn(torn) => Err(location.torn(torn.why, None)),
        PairState::Absent => Err(location.absent(client.endpoint())),
    }
}
