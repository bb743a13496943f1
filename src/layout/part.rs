//! Reads a key's history: the names of the versions, and their documents, each of which is verified.

use super::history::{History, VersionName};
use super::keys::{HistoryPaths, KeyPaths};
use super::version::{Current, VersionQuery};
use crate::consul::{self, Client, Consistency, Entry, Failure};
use crate::document::{Checksum, Verified};
use crate::error::{Result, Status};
use crate::util::time::Timestamp;

/// The document of a version, as far as Consul has it.
#[derive(Debug)]
pub enum PartState {
    /// It matches its checksum.
    Verified(Verified),
    /// It does not exist.
    Missing,
    /// It does not match its checksum.
    Damaged,
}

impl PartState {
    /// The document in this entry, which was read for this checksum.
    pub fn of(entry: Option<Entry>, checksum: Checksum) -> PartState {
        let Some(Entry { value, flags, .. }) = entry else { return PartState::Missing };
        match Verified::decode(value, flags, checksum) {
            Ok((document, _)) => PartState::Verified(document),
            Err(_) => PartState::Damaged,
        }
    }
}

/// Number of entries per transaction: Consul 1.8 accepts 64 operations.
const PER_TRANSACTION: usize = 32;

/// The versions of a key; none if it has no history, or if this token cannot list it.
///
/// # Errors
/// Those of [`Client::list`].
pub fn names(client: &Client, paths: &HistoryPaths) -> consul::Result<History> {
    let list = |consistency| client.list(consistency, &paths.versions);
    let listed = match list(Consistency::Default)? {
        none if none.is_empty() => list(Consistency::CONFIRMS_ABSENCE)?,
        some => some,
    };
    Ok(History::of(&paths.versions, listed.iter().map(String::as_str), Timestamp::now()))
}

/// Like [`names`], but all of them, also those that are too far ahead, and by a consistent read.
///
/// # Errors
/// Those of [`Client::list`].
pub fn all(client: &Client, paths: &HistoryPaths) -> consul::Result<Vec<VersionName>> {
    let listed = client.list(Consistency::Consistent, &paths.versions)?;
    Ok(listed.iter().filter_map(|path| VersionName::in_folder(&paths.versions, path)).collect())
}

/// Like [`names`], for a key that must have a history.
///
/// # Errors
/// 66 if there is none; those of [`Client::list`].
pub fn history(client: &Client, paths: &HistoryPaths) -> Result<History> {
    let history = names(client, paths)?;
    match history.all() {
        [] => Err(Status::NoSuchKey.error(format!(
            "there is no history in {}/ in Consul at {}, or this token cannot list it; an upload by kvx-in begins one, unless it has --keep 0",
            paths.versions,
            client.endpoint()
        ))),
        _ => Ok(history),
    }
}

/// The version that a person means.
///
/// # Errors
/// 66 if there is no history or no such version, 64 if there are several; 65, 69, 77 and 78 as [`Client::read`].
pub fn find(client: &Client, paths: &KeyPaths, query: &VersionQuery) -> Result<VersionName> {
    let current = match query {
        VersionQuery::Before(_) => current(client, paths)?,
        VersionQuery::Checksum(_) | VersionQuery::Time(_) => None,
    };
    query.find(&history(client, &paths.history)?, current)
}

/// The current document, by the key's checksum and record.
fn current(client: &Client, paths: &KeyPaths) -> consul::Result<Option<Current>> {
    let mut entries = client.read(Consistency::Default, &[&paths.checksum], &[&paths.record])?;
    let record = entries.take(&paths.record);
    let checksum = entries.take(&paths.checksum).and_then(|entry| Checksum::parse(&entry.value));
    Ok(checksum.map(|checksum| Current::new(checksum, record.as_ref())))
}

/// The document of a version.
///
/// # Errors
/// 66 if it does not exist, 65 if it does not match its checksum; 65, 69, 77 and 78 as [`Client::read`].
pub fn document(client: &Client, paths: &HistoryPaths, version: VersionName) -> Result<Verified> {
    let path = paths.part(version.checksum);
    let read = |consistency| client.read(consistency, &[&path], &[]).map(|mut entries| entries.take(&path));
    let entry = match read(Consistency::Default)? {
        None => read(Consistency::CONFIRMS_ABSENCE)?,
        entry => entry,
    };
    let remedy = "choose another version: `kvx history` lists them";
    match PartState::of(entry, version.checksum) {
        PartState::Verified(document) => Ok(document),
        PartState::Missing => Err(Status::NoSuchKey.error(format!(
            "there is no {path} in Consul at {}, the document of this version; {remedy}",
            client.endpoint()
        ))),
        PartState::Damaged => Err(Status::Refused
            .error(format!("{path} in Consul does not match its checksum, so this version is lost; {remedy}"))),
    }
}

/// Reads entries of the history, some at a time, and hands each one over.
///
/// # Errors
/// Those of [`Client::read`].
pub fn read_each(
    client: &Client,
    consistency: Consistency,
    paths: &[String],
    each: &mut dyn FnMut(&str, Option<Entry>),
) -> consul::Result<()> {
    for paths in paths.chunks(PER_TRANSACTION) {
        let markers: Vec<&str> = paths.iter().map(String::as_str).collect();
        match client.read(consistency, &[], &markers) {
            Ok(mut entries) => markers.iter().for_each(|path| each(path, entries.take(path))),
            // Together they are too much for one answer.
            Err(Failure::TooLarge(_)) if paths.len() > 1 => {
                let (some, others) = paths.split_at(paths.len() / 2);
                read_each(client, consistency, some, each)?;
                read_each(client, consistency, others, each)?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
