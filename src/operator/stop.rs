//! Stops a key on all nodes, and resumes it.

use std::fmt;
use std::path::Path;

use crate::consul::{Change, ChangeResult, Consistency, Entry, Value};
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::layout::hold::Hold;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::marker::text_of;
use crate::layout::marker::{self, Present, Set, converge};
use crate::layout::signature::signed;
use crate::layout::site::Site;
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};

/// What to stop, and why.
#[derive(Clone)]
pub struct StopOrder {
    /// `-k`.
    pub key: Key,
    /// The reason to write into Consul.
    pub reason: Reason,
    /// `--force`: stop the key even if it does not exist.
    pub force: bool,
    /// `--replace`: whether to replace the reason of an existing stop.
    pub present: Present,
    /// The Consul and the prefix.
    pub site: Site,
}

/// The reason of a stop or lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A reason to sign with user, host, time and file.
    ToSign(String),
    /// A reason to write unchanged.
    Literal(String),
}

impl Reason {
    /// The text to write into Consul.
    pub(super) fn text(&self, file: Option<&Path>, context: &Context) -> String {
        match self {
            Reason::ToSign(reason) => signed(reason, file, &context.env),
            Reason::Literal(reason) => reason.clone(),
        }
    }
}

/// A key that was stopped.
#[derive(Debug)]
pub struct Stopped {
    /// The key.
    pub key: Key,
    /// The reason, as written into Consul.
    pub reason: String,
    /// The reason of the earlier stop that was replaced.
    pub before: Option<String>,
}

/// Stops a key: from now on no uploader changes it, and no node installs it.
///
/// # Errors
/// 66 if the key does not exist (a misspelt key would stop nothing), 75 if it is stopped already; 69, 77, 78.
pub fn stop(order: &StopOrder, context: &Context) -> Result<Stopped> {
    let (client, paths) = (order.site.client(context)?, KeyPaths::of(&order.site.prefix, &order.key));
    if !order.force && client.read(Consistency::Default, &[&paths.checksum], &[])?.take(&paths.checksum).is_none() {
        return Err(Status::NoSuchKey.error(format!(
            "there is no {} in Consul at {}, nothing is stopped; check -k and -p, or use --force to stop a key that does not exist yet",
            paths.checksum,
            client.endpoint()
        )));
    }
    let reason = order.reason.text(None, context);
    match marker::set(&client, &paths.stop, &reason, order.present, context)? {
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

/// What `resume` did.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// The reason of the stop; `None` if the key was not stopped.
    pub reason: Option<String>,
    /// The document that the nodes install now.
    pub checksum: Option<Checksum>,
    /// The hold that remains.
    pub hold: Option<String>,
}

/// Deletes a checksum and sets it again: setting it to the same value would not fire its watches (tried).
pub(super) fn refire(checksum: &Entry) -> [Change<'_>; 2] {
    let value = Value { bytes: &checksum.value, flags: checksum.flags };
    [Change::DeleteCas(&checksum.key, checksum.modify_index), Change::Set(&checksum.key, value)]
}

/// Removes a key's stop, and fires the watches on its checksum, so that the nodes install what they missed.
///
/// The deletion of the stop does not fire these watches (tried). A hold stays.
///
/// # Errors
/// 69, 75, 77, 78.
pub fn resume(key: &Key, site: &Site, context: &Context) -> Result<Resumed> {
    let (client, paths) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let mut attempted = Resumed::default();
    converge(&client, context, || {
        let mut entries = client.read(Consistency::Default, &[&paths.checksum], &[&paths.stop, &paths.hold])?;
        let hold = entries.take(&paths.hold).as_ref().and_then(Hold::text_of);
        let Some(stop) = entries.take(&paths.stop).filter(|stop| text_of(stop).is_some()) else {
            // If an earlier attempt's answer was lost, that attempt removed the stop.
            return Ok((ChangeResult::Done, Resumed { hold, ..attempted.clone() }));
        };
        let mut changes = vec![Change::DeleteCas(&paths.stop, stop.modify_index)];
        let checksum = entries.take(&paths.checksum);
        changes.extend(checksum.iter().flat_map(refire));
        attempted = Resumed {
            reason: text_of(&stop),
            checksum: checksum.as_ref().and_then(|checksum| Checksum::parse(&checksum.value)),
            hold,
        };
        Ok((client.change(&changes)?, attempted.clone()))
    })
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, self.checksum) {
            (None, _) => f.write_str("not stopped, nothing to resume")?,
            (Some(reason), Some(checksum)) => {
                write!(f, "resumed, its watches fire for {}; it was stopped: {reason}", checksum.short())?;
            }
            (Some(reason), None) => {
                write!(f, "resumed, though there is no document yet; it was stopped: {reason}")?;
            }
        }
        self.hold.as_ref().map_or(Ok(()), |hold| write!(f, "; it is still held at {hold}"))
    }
}
