//! The versions of a key: when, by whom and why each was uploaded, and whether its document can still be read.

mod render;
mod version;

use std::collections::BTreeMap;

pub use self::render::table;
pub use self::version::VersionState;
use self::version::{Content, Versions};
use crate::consul::{self, Client, Consistency, Entry};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::Result;
use crate::layout::history::{History, VersionName};
use crate::layout::keys::{HistoryPaths, Key, KeyPaths};
use crate::layout::part::{self, PartState};
use crate::layout::site::Site;
use crate::layout::snapshot::{Location, Others, Snapshot};
use crate::layout::version::Current;

/// Whose history to show.
pub struct HistoryOrder {
    /// `-k`.
    pub key: Key,
    /// The Consul and the prefix.
    pub site: Site,
}

/// How often the key is read if uploads come between the reads.
const MAX_READS: usize = 3;

/// The number of digits of a checksum in a name.
const DIGITS: usize = 8;

/// The versions of a key, the newest first.
///
/// # Errors
/// 66 if there is no history; 65, 69, 77, 78.
pub fn history(order: &HistoryOrder, context: &Context) -> Result<Vec<VersionState>> {
    let HistoryOrder { key, site } = order;
    let (client, paths) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let (snapshot, history) = read(&client, &paths)?;
    let ahead = history.times().count().saturating_sub(history.names().len());
    if ahead > 0 {
        context.warn(&format!(
            "{key}: {ahead} of its versions are not shown: their times are more than a day ahead of this machine's clock; check both clocks"
        ));
    }
    let current = snapshot.state.claimed().map(|checksum| Current::new(checksum, snapshot.record.as_ref()));
    if current.is_none() {
        context.warn(&format!("{key}: none of its versions is current: the key has no document in Consul"));
    }
    let contents = contents(&client, &paths.history, history.names())?;
    let records = records(&client, &paths.history, history.names())?;
    let at = current.and_then(|current| current.position(&history)).and_then(|at| history.names().get(at));
    Ok(Versions { records: &records, contents: &contents }.states(current, at.copied(), &snapshot))
}

/// What `--at` accepts: the time of each version, and the checksum of each document, the newest first.
///
/// # Errors
/// 65, 69, 77, 78.
pub fn names(order: &HistoryOrder, context: &Context) -> Result<Vec<String>> {
    let paths = HistoryPaths::of(&order.site.prefix, &order.key);
    let history = part::names(&order.site.client(context)?, &paths)?;
    let newest_first = || history.names().iter().rev();
    let mut checksums: Vec<String> = Vec::new();
    for name in newest_first() {
        let digits: String = name.checksum.to_string().chars().take(DIGITS).collect();
        if !checksums.contains(&digits) {
            checksums.push(digits);
        }
    }
    Ok(newest_first().map(|name| name.time.to_string()).chain(checksums).collect())
}

/// Reads the key, and then the names of its versions. If the newest version is not the current document, an upload may have come
/// in between, so they are read again.
fn read(client: &Client, paths: &KeyPaths) -> Result<(Snapshot, History)> {
    let location = Location::Pair(paths.clone());
    let mut reads: usize = 1;
    loop {
        let others = Others { record: Some(&paths.record), ..Others::default() };
        let snapshot = Snapshot::read(client, Consistency::Default, &location, others)?;
        let history = part::history(client, &paths.history)?;
        let is_newest = history.newest().map(|newest| newest.checksum) == snapshot.state.claimed();
        if is_newest || reads >= MAX_READS {
            return Ok((snapshot, history));
        }
        reads = reads.saturating_add(1);
    }
}

/// The records of these versions, in their order, without those that an upload has removed since they were listed. This comes
/// after the documents are read: a document that was missing, although its version still exists, is lost.
fn records(client: &Client, paths: &HistoryPaths, names: &[VersionName]) -> consul::Result<Vec<(VersionName, Entry)>> {
    let of_names: Vec<String> = names.iter().map(|name| paths.version(*name)).collect();
    let (mut records, mut unread) = (Vec::with_capacity(names.len()), names.iter());
    part::read_each(client, Consistency::Default, &of_names, &mut |_, entry| {
        records.extend(unread.next().copied().zip(entry));
    })?;
    Ok(records)
}

/// The documents of these versions. Each is verified and measured, and not kept: together they can be large.
fn contents(
    client: &Client,
    paths: &HistoryPaths,
    names: &[VersionName],
) -> consul::Result<BTreeMap<Checksum, Content>> {
    let mut contents: BTreeMap<Checksum, Content> =
        names.iter().map(|name| (name.checksum, Content::Missing)).collect();
    // A server that has just become leader may not have loaded its data yet, so what is missing is read once more.
    for consistency in [Consistency::Default, Consistency::CONFIRMS_ABSENCE] {
        let missing = contents.iter_mut().filter(|(_, content)| matches!(content, Content::Missing));
        let (of_parts, mut places): (Vec<String>, Vec<_>) =
            missing.map(|(checksum, content)| (paths.part(*checksum), (*checksum, content))).unzip();
        let mut places = places.drain(..);
        part::read_each(client, consistency, &of_parts, &mut |_, entry| {
            if let Some((checksum, content)) = places.next() {
                *content = match PartState::of(entry, checksum) {
                    PartState::Verified(document) => Content::Readable(document.size()),
                    PartState::Missing => Content::Missing,
                    PartState::Damaged => Content::Damaged,
                };
            }
        })?;
    }
    Ok(contents)
}
