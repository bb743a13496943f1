//! Stopping a key, for everybody, and letting it go on.

use std::fmt;
use std::path::Path;

use super::signature::signed;
use crate::consul::{Change, ChangeResult, Consistency, Value};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::marker::text_of;
use crate::layout::marker::{self, Present, Set, converge};
use crate::layout::site::Site;
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};

/// A stop to be.
#[derive(Clone)]
pub struct StopOrder {
    /// `-k`.
    pub key: Key,
    /// What stands in Consul.
    pub reason: Reason,
    /// `--force`: also a key that is not there.
    pub force: bool,
    /// Whether the reason of a stop that is in place may be replaced.
    pub present: Present,
    /// Where.
    pub site: Site,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// With who, where and when, and of what file.
    ToSign(String),
    /// As it is.
    Literal(String),
}

impl Reason {
    /// As it is to stand in Consul.
    pub(super) fn text(&self, file: Option<&Path>, context: &Context) -> String {
        match self {
            Reason::ToSign(reason) => signed(reason, file, &context.env),
            Reason::Literal(reason) => reason.clone(),
        }
    }
}

/// What has come of it.
#[derive(Debug)]
pub struct Stopped {
    /// The key.
    pub key: Key,
    /// Why, as it stands in Consul.
    pub reason: String,
    /// The reason that it replaced.
    pub before: Option<String>,
}

/// Stops a key: from now on nobody uploads it, and nobody installs it.
///
/// # Errors
/// 66 where there is no such key (a slip of the pen would stop nothing), 75 also where it is stopped already; 69, 77, 78.
pub fn stop(order: &StopOrder, context: &Context) -> Result<Stopped> {
    let (client, folder) = (order.site.client(context)?, KeyPaths::of(&order.site.prefix, &order.key));
    if !order.force && client.read(Consistency::Default, &[&folder.checksum], &[])?.take(&folder.checksum).is_none() {
        return Err(Status::NoSuchKey.error(format!(
            "there is no {} in Consul at {}, nothing is stopped; check -k and -p, or stop what is not there yet with --force",
            folder.checksum,
            client.endpoint()
        )));
    }
    let reason = order.reason.text(None, context);
    match marker::set(&client, &folder.stop, &reason, order.present, context)? {
        Set::Done(before) => Ok(Stopped { key: order.key.clone(), reason, before }),
        Set::Taken(before) => Err(Status::TryAgain
            .error(format!("it is stopped already: {before}; `kvx resume` it, or give another reason with --replace"))),
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped: {}", self.reason)?;
        self.before.as_ref().map_or(Ok(()), |before| write!(f, "; it was stopped before: {before}"))
    }
}

impl RunOutcome for Stopped {
    fn line(&self) -> String {
        format!("{}: {self}", self.key)
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        begun.with_result(RunResult::Stopped).with_reason(&self.reason)
    }
}

/// What has come of a resumption.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// Why it was stopped, if it was.
    pub reason: Option<String>,
    /// What arrives now.
    pub checksum: Option<Checksum>,
}

/// Lets a stopped key go on, and wakes the watches on its checksum, so that what was uploaded meanwhile arrives.
///
/// No watch on the checksum would be woken by its stop going away, nor by the same value being set again (tried): so it is
/// deleted and set, in the same transaction.
///
/// # Errors
/// 69, 75, 77, 78.
pub fn resume(key: &Key, site: &Site, context: &Context) -> Result<Resumed> {
    let (client, folder) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let mut tried = Resumed::default();
    converge(&client, context, || {
        let mut entries = client.read(Consistency::Default, &[&folder.checksum], &[&folder.stop])?;
        let Some(stop) = entries.take(&folder.stop).filter(|stop| text_of(stop).is_some()) else {
            return Ok((ChangeResult::Done, tried.clone())); // By us, if the answer was lost.
        };
        let mut changes = vec![Change::DeleteCas(&folder.stop, stop.modify_index)];
        let checksum = entries.take(&folder.checksum);
        if let Some(checksum) = &checksum {
            changes.push(Change::DeleteCas(&folder.checksum, checksum.modify_index));
            changes.push(Change::Set(&folder.checksum, Value { bytes: &checksum.value, flags: checksum.flags }));
        }
        tried = Resumed {
            reason: text_of(&stop),
            checksum: checksum.as_ref().and_then(|checksum| Checksum::parse(&checksum.value)),
        };
        Ok((client.change(&changes)?, tried.clone()))
    })
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(reason) = &self.reason else { return f.write_str("not stopped, nothing to resume") };
        match self.checksum {
            Some(checksum) => write!(f, "resumed, its watches fire for {}; it was stopped: {reason}", checksum.short()),
            None => write!(f, "resumed, though there is no document yet; it was stopped: {reason}"),
        }
    }
}
