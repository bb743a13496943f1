//! Removes documents from a key's history that no version has: an upload that died has left them, or somebody has deleted versions.

use std::collections::BTreeSet;

use crate::consul::{Change, ChangeResult, Client, Consistency};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::Result;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::marker::converge;
use crate::layout::part;
use crate::layout::site::Site;

/// The number of documents that one transaction removes: Consul 1.8 accepts 64 operations.
const PER_TRANSACTION: usize = 58;

/// Removes the documents, and returns how many.
///
/// An upload that names one of them at this moment changes the checksum; then nothing is removed, and it is looked again. An
/// upload that is about to name one finds it missing, and writes it again.
///
/// Consul leaves out what a token must not list: without permission no version would be seen, and every document would seem to
/// be left. Therefore each transaction asks for an entry in both folders that never exists, which needs permission to write there.
///
/// # Errors
/// 75 if uploads were faster every time; 69, 77, 78.
pub fn collect(key: &Key, site: &Site, context: &Context) -> Result<usize> {
    let (client, paths) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let mut removed: usize = 0;
    converge(&client, context, || {
        // The guard is read first: what the lists miss is newer than it.
        let checksum = client.read(Consistency::Consistent, &[&paths.checksum], &[])?.take(&paths.checksum);
        let guard = match &checksum {
            Some(entry) => Change::CheckIndex(&paths.checksum, entry.modify_index),
            None => Change::CheckAbsent(&paths.checksum),
        };
        let orphans: Vec<String> = orphans(&client, &paths)?.into_iter().map(|sum| paths.history.part(sum)).collect();
        let probes = [&paths.history.versions, &paths.history.parts].map(|folder| format!("{folder}/-"));
        // Without an orphan, the probes still show whether anything could be seen.
        let none: Option<&[String]> = orphans.is_empty().then_some(&[]);
        for some in orphans.chunks(PER_TRANSACTION).chain(none) {
            let may_write = probes.iter().map(|probe| Change::CheckAbsent(probe));
            let deletes = some.iter().map(|path| Change::Delete(path));
            let changes: Vec<Change> = [guard].into_iter().chain(may_write).chain(deletes).collect();
            match client.change(&changes)? {
                ChangeResult::Done => removed = removed.saturating_add(some.len()),
                not_done => return Ok((not_done, removed)),
            }
        }
        Ok((ChangeResult::Done, removed))
    })
}

/// The documents that no version has.
fn orphans(client: &Client, paths: &KeyPaths) -> Result<Vec<Checksum>> {
    let parts = client.list(Consistency::Consistent, &paths.history.parts)?;
    let named: BTreeSet<Checksum> = part::all(client, &paths.history)?.into_iter().map(|name| name.checksum).collect();
    let checksum = |path: &String| {
        let sum = Checksum::parse(path.strip_prefix(&paths.history.parts)?.strip_prefix('/')?.as_bytes())?;
        (paths.history.part(sum) == *path && !named.contains(&sum)).then_some(sum)
    };
    Ok(parts.iter().filter_map(checksum).collect())
}
