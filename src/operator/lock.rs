//! Locks a file on this node, so that no run changes it, and unlocks it.
//!
//! If a step fails, the file stays locked. `lock` first creates the marker next to the file, which kvx-out respects
//! even without Consul; `unlock` removes it last.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::identity::Identity;
use super::stop::Reason;
use crate::context::Context;
use crate::error::{Error, Result, Status};
use crate::layout::marker::{self, Present, Set};
use crate::layout::signature::now;
use crate::layout::site::Site;
use crate::layout::{lock_file, lock_reason};
use crate::state::RecordedState;
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};
use crate::util::exposure::exposure;
use crate::util::text;
use crate::util::time::Deadline;

/// The file to lock or unlock.
#[derive(Clone)]
pub struct LockOrder {
    /// `-f`, the same path as in kvx-out's command line.
    pub file: PathBuf,
    /// The Consul and the prefix.
    pub site: Site,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// How a file is locked.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// `-r`, if given.
    pub reason: Option<Reason>,
    /// The program to unlock the file with. The marker's text names it.
    pub program: &'static str,
    /// The marker next to the file.
    pub marker: Marker,
    /// `--replace`: whether to replace the reason of an existing lock.
    pub present: Present,
}

/// A marker next to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// `.NAME.lock`, a directory, which no program reads as configuration.
    Hidden,
    /// kvexpress's `FILE.locked`, with this mode.
    Visible(u32),
}

/// The result of `lock`.
#[derive(Debug)]
pub struct Locked {
    /// The file, as given.
    pub file: PathBuf,
    /// The reason, as stored in Consul.
    pub reason: String,
    /// The lock's key in Consul.
    pub path: String,
    /// The reason of the lock that this one replaced.
    pub before: Option<String>,
    /// Whether the file exists.
    pub file_exists: bool,
}

/// The result of `unlock`.
#[derive(Debug)]
pub struct Unlocked {
    /// The file, as given.
    pub file: PathBuf,
    /// The reason of the lock, if the file was locked.
    pub reason: Option<String>,
    /// The lock's key in Consul.
    pub path: String,
    /// The recorded state of the file, if there is one.
    pub recorded: Option<RecordedState>,
}

impl LockOrder {
    /// Determines which file is meant. Do that once: another user may have the path lead elsewhere the next time.
    ///
    /// # Errors
    /// 73, 78.
    pub fn identify(&self, context: &Context) -> Result<Identity> {
        Identity::of(&self.file, self.state_dir.as_deref(), context)
    }

    /// The lock's key in Consul.
    pub fn path(&self, identity: &Identity, context: &Context) -> String {
        self.site.prefix.lock(&identity.file, &context.env.hostname())
    }
}

/// Locks a file. Once this returns, no run changes it.
///
/// # Errors
/// 69, 73, 75, 77, 78. Nothing was locked, unless the message says so.
pub fn lock(order: &LockOrder, identity: &Identity, options: &LockOptions, context: &Context) -> Result<Locked> {
    let (file, path) = (&identity.file, order.path(identity, context));
    let reason = match &options.reason {
        Some(reason) => reason.text(Some(file), context),
        None => format!(
            "No reason given for '{}' by '{}' at '{}'.",
            text::line(&file.to_string_lossy()),
            context.env.user(),
            now()
        ),
    };
    let client = order.site.client(context)?;
    let already_locked = |before: &str| {
        Status::TryAgain
            .error(format!("it is locked already: {before}; `kvx unlock` it, or give another reason with --replace"))
    };
    let locked_by_marker_only = |error: Error| {
        error.and(
            "it is locked by the marker next to it, which kvx-out respects, but not in Consul; run it again, or unlock the file",
        )
    };
    let in_consul = marker::read(&client, &path);
    if let (Present::Keep, Ok(Some(before))) = (options.present, &in_consul) {
        return Err(already_locked(before));
    }
    // A marker without a lock in Consul is incomplete or made by hand. It is replaced, and its reason is printed.
    let text = lock_reason::to_text(file, options.program, &reason);
    let (by_hand, created) = create_marker(file, &text, options.marker);
    // Half a lock is better than none: Consul alone if the marker cannot be created, perhaps because another user
    // blocks its name; the marker alone if Consul cannot be reached.
    let without_consul = |error: Error| match &created {
        Ok(()) => locked_by_marker_only(error),
        Err(cause) => Status::CannotWrite.error(format!("{cause}; and it is not locked in Consul either: {error}")),
    };
    if let (Err(cause), true) = (&created, cannot_exist(file)) {
        return Err(Status::CannotWrite.error(cause.to_string()));
    }
    in_consul.map_err(without_consul)?;
    let before = match marker::set(&client, &path, &reason, options.present, context).map_err(without_consul)? {
        Set::Done(before) => before.or(by_hand),
        Set::Taken(before) => return Err(already_locked(&before)),
    };
    wait_for_runs(order, identity, context)?;
    created.map_err(|error| {
        error.and(&format!(
            "it is locked in Consul only ({path}), which a run does not read if its payload contains the document (a keyprefix watch)"
        ))
    })?;
    Ok(Locked { file: order.file.clone(), reason, path, before, file_exists: file.exists() })
}

/// Creates the marker next to a file. Also returns the reason of an existing marker, if it can be read.
fn create_marker(file: &Path, text: &str, marker: Marker) -> (Option<String>, Result<()>) {
    let target = match lock_file::locate(file) {
        Ok(Some(target)) => target,
        Ok(None) => return (None, Err(lock_file::missing_directory(file))),
        Err(error) => return (None, Err(error.of("the file cannot be locked by a marker next to it"))),
    };
    let before = lock_file::reason(&target).unwrap_or_default();
    let created = match marker {
        Marker::Visible(mode) => lock_file::lock_visibly(&target, text, mode),
        Marker::Hidden => lock_file::lock(&target, text),
    };
    (before, created)
}

/// Whether no file can be installed at this path, so the path is misspelt: its name is too long, or its directory does
/// not exist and no other user can have moved it away.
fn cannot_exist(file: &Path) -> bool {
    let is_missing = |directory: &Path| !directory.exists() && matches!(exposure(directory), Ok(None));
    lock_file::is_name_too_long(file) || file.parent().is_some_and(is_missing)
}

/// Unlocks a file. The next run installs what was missed.
///
/// # Errors
/// 69, 73, 75, 77, 78. If it fails, the file stays locked.
pub fn unlock(order: &LockOrder, identity: &Identity, context: &Context) -> Result<Unlocked> {
    let path = order.path(identity, context);
    let client = order.site.client(context)?;
    let target = lock_file::locate(&identity.file).map_err(|error| error.and("the file stays locked"))?;
    let reason = marker::clear(&client, &path, context).map_err(|error| error.and("the file stays locked"))?;
    // A marker that cannot be read can still be removed.
    let marker_reason = target.as_ref().and_then(|target| lock_file::reason(target).unwrap_or_default());
    target.as_ref().map_or(Ok(()), lock_file::unlock).map_err(|error| error.of("it stays locked"))?;
    let reason = reason.or(marker_reason);
    Ok(Unlocked { file: order.file.clone(), reason, path, recorded: identity.recorded.clone() })
}

/// Waits for runs that began before the lock, and may be about to install.
fn wait_for_runs(order: &LockOrder, identity: &Identity, context: &Context) -> Result<()> {
    let deadline = Deadline::within(order.site.timeout.saturating_add(Duration::from_secs(60)));
    identity
        .wait_for_runs(deadline, context)
        .map_err(|error| error.and("it is locked, but a run that began before may still change it"))
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locked on this node: {} ({})", self.reason, self.path)?;
        if let Some(before) = &self.before {
            write!(f, "; it was locked before: {before}")?;
        }
        if self.file_exists { Ok(()) } else { f.write_str("; there is no such file yet") }
    }
}

impl fmt::Display for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "unlocked; it was locked: {reason}"),
            None => write!(f, "not locked (no {} in Consul, no marker next to it)", self.path),
        }
    }
}

impl RunOutcome for Locked {
    fn line(&self) -> String {
        format!("{}: {self}", self.file.display())
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        begun.with_result(RunResult::Locked).with_reason(&self.reason)
    }
}

impl RunOutcome for Unlocked {
    fn line(&self) -> String {
        format!("{}: {self}", self.file.display())
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        begun.with_result(RunResult::Unlocked)
    }
}
