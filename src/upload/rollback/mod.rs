//! Restores an earlier version of a key, and holds the key at it, in one transaction.

mod before;
mod report;

use self::before::Before;
pub use self::report::RollbackReport;
use self::report::{Restored, shrinkage};
use super::describe::{self, NewHold};
use super::write::put;
use super::{Description, Mode};
use crate::consul::{Change, ChangeResult, Client};
use crate::context::Context;
use crate::document::Checksum;
use crate::document::diff;
use crate::error::{Error, Result, Status};
use crate::layout::history::{Keep, VersionName};
use crate::layout::hold::Hold;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::marker;
use crate::layout::pair::PairState;
use crate::layout::part;
use crate::layout::record::Record;
use crate::layout::signature::signed;
use crate::layout::site::Site;
use crate::layout::stored::EncodedDocument;
use crate::layout::version::VersionQuery;

/// What to restore.
pub struct RollbackOrder {
    /// `-k`.
    pub key: Key,
    /// `--to`: a version; otherwise the document that the current one replaced.
    pub to: Option<VersionQuery>,
    /// `-m`.
    pub note: Option<String>,
    /// Whether to hold the key at the restored document; not with `--no-hold`.
    pub holds: bool,
    /// `--resume`: also remove a stop.
    pub resumes: bool,
    /// `-n`.
    pub mode: Mode,
    /// The Consul and the prefix.
    pub site: Site,
}

/// Restores a version.
///
/// # Errors
/// 64 if the version is ambiguous, or if `to` is missing and nothing says what the current document replaced; 65 if its document is
/// damaged, 66 if there is no such version, 75 if the key is stopped or another writer was faster; 69, 77, 78.
pub fn rollback(order: &RollbackOrder, context: &Context) -> Result<RollbackReport> {
    let (client, paths) = (order.site.client(context)?, KeyPaths::of(&order.site.prefix, &order.key));
    let before = Before::read(&client, &paths, context)?;
    let resumed = before.stop.as_ref().and_then(marker::text_of);
    if let (Some(reason), false) = (&resumed, order.resumes) {
        return Err(Status::TryAgain.error(format!("it is stopped: {reason}; `kvx resume` it first, or give --resume")));
    }
    let name = target(order, &before, &client, &paths)?;
    let document = part::document(&client, &paths.history, name)?;
    let (size, shrinkage) = (document.to_string(), shrinkage(&document, &before.found));
    let mut report = RollbackReport {
        key: order.key.clone(),
        restored: Restored { name, size },
        replaced: before.description(),
        shrinkage,
        holds: order.holds,
        hold_before: before.found.hold.as_ref().filter(|_| !before.is_held_at(name.checksum)).and_then(Hold::text_of),
        resumed,
        is_current: before.has(name.checksum),
        preview: None,
    };
    let hold = new_hold(order, &before, &paths, name.checksum, context)?;
    if order.mode == Mode::DryRun {
        let (from, to) = (format!("{} (in Consul)", paths.data), format!("{} ({})", paths.data, name.time));
        let limits = diff::Limits { time: client.deadline().left(), text: usize::MAX };
        report.preview = Some(diff::unified((before.bytes(), &from), (document.bytes(), &to), limits));
        return Ok(report);
    }
    let stop = before.stop.as_ref().map(|entry| (paths.stop.clone(), entry.modify_index));
    let changed = if report.is_current {
        mark_only(&before, hold.as_ref(), stop.as_ref(), &paths, &client)?
    } else {
        let form = before.encoding(&document);
        let ours = EncodedDocument::new(document, form)?;
        let description = Description::Record { undo: false, note: order.note.clone(), keep: Keep::All };
        let mut described = describe::describe(&description, &paths, &before.found, &ours, true, &client, context)?;
        (described.hold, described.resumed) = (hold, stop);
        put(&paths, &before.found.state, &ours, described, &client)?
    };
    match changed {
        ChangeResult::Done => Ok(report),
        ChangeResult::Lost { why, repeated } => {
            let now = Before::read(&client, &paths, context)?;
            // The answer to our own write was lost.
            if repeated && now.has(name.checksum) && (!order.holds || now.is_held_at(name.checksum)) {
                return Ok(report);
            }
            let held = if order.holds && now.is_held_at(name.checksum) {
                ", and is held at the restored document"
            } else {
                ""
            };
            let now = now.description().unwrap_or_else(|| "no document".into());
            Err(Status::TryAgain.error(format!(
                "another writer was faster, nothing is restored ({why}): Consul has {now}{held}; review it with `kvx history`, then run it again"
            )))
        }
        ChangeResult::TooLarge => Err(Status::Refused.error("the document is too large for Consul")),
    }
}

/// The version to restore.
///
/// By default it is the document that the current one replaced; or the held one, if Consul has another. A document that was
/// restored replaced none: otherwise a second rollback would restore the bad one. A document without a record, as kvexpress
/// writes it, replaced the newest version that is another one. Of a torn pair, it is the newest version: an upload died before it
/// became one; but a rollback that died is completed.
fn target(order: &RollbackOrder, before: &Before, client: &Client, paths: &KeyPaths) -> Result<VersionName> {
    if let Some(query) = &order.to {
        return part::find(client, paths, query);
    }
    let history = part::history(client, &paths.history)?;
    let newest = |checksum: Checksum| history.all().iter().rev().find(|name| name.checksum == checksum).copied();
    let missing = |what: String| {
        Status::NoSuchKey.error(format!("the history has {what}; name a version with --to: `kvx history` lists them"))
    };
    let current = before.found.state.verified();
    if let Some(held) = before.hold().filter(|hold| current != Some(hold.checksum)) {
        let held = held.checksum;
        return newest(held).ok_or_else(|| missing(format!("no version {}, at which the key is held", held.short())));
    }
    if let Some(undo) = before.half_restored() {
        return newest(undo).ok_or_else(|| missing(format!("no version {}, which was being restored", undo.short())));
    }
    match before.record() {
        Some(Record { undo: Some(undo), .. }) => {
            newest(undo).ok_or_else(|| missing(format!("no version {}, which was replaced", undo.short())))
        }
        Some(_) => Err(nothing_replaced()),
        None => {
            let others = history.names().iter().rev();
            let other = others.copied().find(|name| Some(name.checksum) != current);
            other.ok_or_else(|| missing("no other version".into()))
        }
    }
}

fn nothing_replaced() -> Error {
    Status::Usage.error(
        "the current document is the first one, or was restored by a rollback; name a version with --to: `kvx history` lists them",
    )
}

/// The hold at the restored document.
fn new_hold(
    order: &RollbackOrder,
    before: &Before,
    paths: &KeyPaths,
    checksum: Checksum,
    context: &Context,
) -> Result<Option<NewHold>> {
    if !order.holds {
        return match Hold::of(before.found.hold.as_ref())? {
            Some(hold) if hold.forbids(checksum) => Err(Status::TryAgain.error(format!(
                "it is held at {}: {}; `kvx release` it first, or omit --no-hold",
                hold.checksum.short(),
                hold.reason
            ))),
            _ => Ok(None),
        };
    }
    if before.is_held_at(checksum) {
        return Ok(None);
    }
    let why = order.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let from = before.found.state.verified().filter(|from| *from != checksum);
    let from = from.map(|checksum| format!(" from {}", checksum.short())).unwrap_or_default();
    let hold = Hold { checksum, reason: signed(&format!("rolled back{from}{why}"), None, &context.env) };
    Ok(Some(NewHold { path: paths.hold.clone(), value: hold.to_string(), before: before.found.hold.clone() }))
}

/// Sets the hold and removes the stop of a key that has the document already.
fn mark_only(
    before: &Before,
    hold: Option<&NewHold>,
    stop: Option<&(String, u64)>,
    paths: &KeyPaths,
    client: &Client,
) -> Result<ChangeResult> {
    let PairState::Verified(pair) = &before.found.state else { return Ok(ChangeResult::Done) };
    let checksum = pair.document.checksum().to_string();
    let mut changes: Vec<Change> = hold.into_iter().map(NewHold::change).collect();
    match stop {
        // What was missed behind the stop is installed when the watches fire.
        Some((path, index)) => changes.extend([
            Change::DeleteCas(path, *index),
            Change::DeleteCas(&paths.checksum, pair.index),
            Change::Set(&paths.checksum, checksum.as_bytes().into()),
        ]),
        None => changes.push(Change::CheckIndex(&paths.checksum, pair.index)),
    }
    Ok(client.change(&changes)?)
}
