//! Stops a key on all nodes, and resumes it.

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
}

/// Removes a key's stop, and fires the watches on its checksum, so that the nodes install what they missed.
///
/// Neither the deletion of the stop nor setting the checksum to the same value fires these watches (tried). So the same
/// transaction deletes the checksum and sets it again.
///
/// # Errors
/// 69, 75, 77, 78.
pub fn resume(key: &Key, site: &Site, context: &Context) -> Result<Resumed> {
    let (client, paths) = (site.client(context)?, KeyPaths::of(&site.prefix, key));
    let mut attempted = Resumed::default();
    converge(&client, context, || {
        let mut entries = client.read(Consistency::Default, &[&paths.checksum], &[&paths.stop])?;
        let Some(stop) = entries.take(&paths.stop).filter(|stop| text_of(stop).is_some()) else {
            // If an earlier attempt's answer was lost, that attempt removed the stop.
            return Ok((ChangeResult::Done, attempted.clone()));
        };
        let mut changes = vec![Change::DeleteCas(&paths.stop, stop.modify_index)];
        let checksum = entries.take(&paths.checksum);
        if let Some(checksum) = &checksum {
            changes.push(Change::DeleteCas(&paths.checksum, checksum.modify_index));
            changes.push(Change::Set(&paths.checksum, Value { bytes: &checksum.value, flags: checksum.flags }));
        }
        attempted = Resumed {
            reason: text_of(&stop),
            checksum: checksum.as_ref().and_then(|checksum| Checksum::parse(&checksum.value)),
        };
        Ok((client.change(&changes)?, attempted.clone()))
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
