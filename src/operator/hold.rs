//! Holds a key at its document on all nodes, and releases it.

use std::fmt;

use super::stop::{Reason, refire};
use crate::consul::{Change, ChangeResult, Client, Consistency, Entry};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Error, Result, Status};
use crate::layout::hold::Hold;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::marker::{Present, converge, text_of};
use crate::layout::pair::{Pair, PairState};
use crate::layout::record;
use crate::layout::site::Site;
use crate::layout::snapshot;
use crate::util::text;

/// What to hold, and why.
pub struct HoldOrder {
    /// `-k`.
    pub key: Key,
    /// The reason to write into Consul.
    pub reason: Reason,
    /// `--replace`: whether to replace an existing hold.
    pub present: Present,
    /// The Consul and the prefix.
    pub site: Site,
}

/// A key that is held.
pub struct Held {
    /// The hold, as written into Consul.
    hold: Hold,
    /// The value of the earlier hold that was replaced.
    before: Option<String>,
}

/// Holds a key at the document that it has: no other one is uploaded, and no node installs another one.
///
/// # Errors
/// 66 if the key does not exist, 75 if it is torn or held already; 69, 77, 78.
pub fn hold(order: &HoldOrder, context: &Context) -> Result<Held> {
    let (client, paths) = (order.site.client(context)?, KeyPaths::of(&order.site.prefix, &order.key));
    let reason = order.reason.text(None, context);
    let mut attempted: Option<Hold> = None;
    converge(&client, context, || {
        let pair = snapshot::verified(&client, paths.clone())?;
        let entry = read_hold(&client, &paths)?;
        let hold = Hold { checksum: pair.document.checksum(), reason: reason.clone() };
        let is_ours = |entry: &Entry| attempted.as_ref().is_some_and(|hold| entry.value == hold.to_string().as_bytes());
        let before = entry.as_ref().filter(|entry| !is_ours(entry)).and_then(Hold::text_of);
        if let (Present::Keep, Some(before)) = (order.present, &before) {
            return Err(already_held(before));
        }
        attempted = Some(hold.clone());
        let value = hold.to_string();
        let index = entry.map_or(0, |entry| entry.modify_index);
        let unchanged = Change::CheckIndex(&paths.checksum, pair.index);
        let set = Change::Cas(&paths.hold, value.as_bytes().into(), index);
        Ok((client.change(&[unchanged, set])?, Held { hold, before }))
    })
}

fn already_held(before: &str) -> Error {
    Status::TryAgain
        .error(format!("it is held already at {before}; `kvx release` it, or hold the current document with --replace"))
}

fn read_hold(client: &Client, paths: &KeyPaths) -> Result<Option<Entry>> {
    Ok(client.read(Consistency::Default, &[], &[&paths.hold])?.take(&paths.hold))
}

/// What `release` did.
#[derive(Clone, Default)]
pub struct Released {
    /// The hold; `None` if the key was not held.
    before: Option<String>,
    /// The document that the nodes install now.
    checksum: Option<Checksum>,
    /// The reason of the stop that remains.
    stop: Option<String>,
}

/// Removes a key's hold, and fires the watches on its checksum, so that the nodes install what they missed.
///
/// # Errors
/// 75 if Consul has another document than the held one, unless `force` is given; 65, 69, 75, 77, 78.
pub fn release(key: &Key, force: bool, site: &Site, context: &Context) -> Result<Released> {
    let (client, paths) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let mut attempted = Released::default();
    converge(&client, context, || {
        let others = [paths.stop.as_str(), &paths.hold, &paths.record];
        let mut found = client.read(Consistency::Default, &[&paths.data, &paths.checksum], &others)?;
        let stop = found.take(&paths.stop).as_ref().and_then(text_of);
        let Some(entry) = found.take(&paths.hold) else {
            // If an earlier attempt's answer was lost, that attempt removed the hold.
            return Ok((ChangeResult::Done, Released { stop, ..attempted.clone() }));
        };
        let (record, pair) = (found.take(&paths.record), Pair::take(&mut found, &paths));
        let checksum = pair.checksum.clone();
        if !force && let Some(hold) = Hold::of(Some(&entry))? {
            assert_has(&hold, &pair.verify(), record.as_ref())?;
        }
        let mut changes = vec![Change::DeleteCas(&paths.hold, entry.modify_index)];
        changes.extend(checksum.iter().flat_map(refire));
        attempted = Released {
            before: Hold::text_of(&entry),
            checksum: checksum.as_ref().and_then(|checksum| Checksum::parse(&checksum.value)),
            stop,
        };
        Ok((client.change(&changes)?, attempted.clone()))
    })
}

/// Fails if Consul has another document than the held one: releasing the key would put it on all nodes.
fn assert_has(hold: &Hold, found: &PairState, record: Option<&Entry>) -> Result<()> {
    let held = hold.checksum.short();
    let (other, outcome) = match found {
        PairState::Verified(pair) if !hold.forbids(pair.document.checksum()) => return Ok(()),
        PairState::Verified(pair) => {
            let checksum = pair.document.checksum();
            let record = record::of_document(record, checksum);
            let by = record.map(|record| format!(", uploaded by {} at {}", text::line(&record.by), record.time));
            (format!("Consul has {}{}", checksum.short(), by.unwrap_or_default()), ", which every node would install")
        }
        PairState::Torn(torn) => (format!("its pair is torn ({})", torn.why), ""),
        PairState::Absent => ("it has no document".into(), ""),
    };
    Err(Status::TryAgain.error(format!(
        "it is held at {held}, but {other}{outcome}; restore the held document with `kvx rollback`, or release the key with --force"
    )))
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held at {}: {}", self.hold.checksum.short(), self.hold.reason)?;
        self.before.as_ref().map_or(Ok(()), |before| write!(f, "; it was held before at {before}"))
    }
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, self.checksum) {
            (None, _) => f.write_str("not held, nothing to release")?,
            (Some(before), Some(checksum)) => {
                write!(f, "released, its watches fire for {}; it was held at {before}", checksum.short())?;
            }
            (Some(before), None) => write!(f, "released, though there is no document; it was held at {before}")?,
        }
        self.stop.as_ref().map_or(Ok(()), |stop| write!(f, "; it is still stopped: {stop}"))
    }
}
