//! Locking one file on this node, so that it stays as it is, and letting it go on.
//!
//! Whatever fails in between, the file is locked rather than not: the lock begins with the marker next to it, which kvx-out heeds
//! even without Consul, and that is the last to go.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::signature::{now, user};
use super::stop::Reason;
use crate::context::Context;
use crate::error::{Error, Result, Status};
use crate::install::{self, Parents, Target};
use crate::layout::lock_file;
use crate::layout::marker::{self, Present, Set};
use crate::layout::site::Site;
use crate::state::{self, RecordedState};
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};
use crate::util::ownership::exposed;
use crate::util::path;
use crate::util::text;
use crate::util::time::Deadline;

/// A file to be locked or unlocked.
#[derive(Clone)]
pub struct LockOrder {
    /// `-f`, as kvx-out is given it.
    pub file: PathBuf,
    /// Where.
    pub site: Site,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// How a file is locked.
#[derive(Clone, Debug)]
pub struct LockOptions {
    /// `-r`; none where none was given.
    pub reason: Option<Reason>,
    /// The program that unlocks it, for the text of the marker.
    pub program: &'static str,
    /// What marks it next to the file.
    pub marker: Marker,
    /// Whether the reason of a lock that is in place may be replaced.
    pub present: Present,
}

/// A marker next to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Ours, which no program takes for configuration.
    Hidden,
    /// kvexpress's `FILE.locked`, of this mode.
    Visible(u32),
}

/// What has come of a lock.
#[derive(Debug)]
pub struct Locked {
    /// The file, as the order names it.
    pub file: PathBuf,
    /// Why, as it stands in Consul.
    pub reason: String,
    /// Where in Consul.
    pub path: String,
    /// The reason that it replaced.
    pub before: Option<String>,
    /// Whether there is such a file yet.
    pub is_there: bool,
}

/// What has come of unlocking.
#[derive(Debug)]
pub struct Unlocked {
    /// The file, as the order names it.
    pub file: PathBuf,
    /// Why it was locked, if it was.
    pub reason: Option<String>,
    /// Where in Consul.
    pub path: String,
    /// What is recorded of it, if anything.
    pub recorded: Option<RecordedState>,
}

impl LockOrder {
    /// Where its lock is in Consul.
    pub fn path(&self, context: &Context) -> String {
        names(self, context).1
    }
}

/// Locks a file: once this returns, no run changes it.
///
/// # Errors
/// 69, 73, 75, 77, 78. If the message does not say otherwise, nothing is locked that was not.
pub fn lock(order: &LockOrder, manner: &LockOptions, context: &Context) -> Result<Locked> {
    let (file, path) = names(order, context);
    let reason = match &manner.reason {
        Some(reason) => reason.text(Some(&file), context),
        None => format!(
            "No reason given for '{}' by '{}' at '{}'.",
            text::line(&file.to_string_lossy()),
            user(&context.env),
            now()
        ),
    };
    let client = order.site.client(context)?;
    let taken = |before: &str| {
        Status::TryAgain
            .error(format!("it is locked already: {before}; `kvx unlock` it, or give another reason with --replace"))
    };
    let half = |error: Error| {
        error.and(
            "it is locked by the mark beside it, which kvx-out heeds, but not in Consul: run it again, or unlock it",
        )
    };
    let now = marker::read(&client, &path);
    if let (Present::Keep, Ok(Some(before))) = (manner.present, &now) {
        return Err(taken(before));
    }
    // Half a lock, or one by hand, is replaced; but not unseen.
    let text = lock_file::text(&file, manner.program, &reason);
    let (by_hand, made) = make_marker(&file, &text, manner.marker);
    // Where there can be no marker, perhaps since another user is in its way, the lock in Consul is better than none; and where
    // Consul cannot be asked, the marker.
    let half = |error: Error| match &made {
        Ok(()) => half(error),
        Err(cause) => Status::CannotWrite.error(format!("{cause}; and it is not locked in Consul either: {error}")),
    };
    if let (Err(cause), true) = (&made, is_nowhere(&file)) {
        return Err(Status::CannotWrite.error(cause.to_string()));
    }
    now.map_err(half)?;
    let before = match marker::set(&client, &path, &reason, manner.present, context).map_err(half)? {
        Set::Done(before) => before.or(by_hand),
        Set::Taken(before) => return Err(taken(&before)),
    };
    wait_for_runs(order, &file, context)?;
    made.map_err(|error| {
        error.and(&format!(
            "it is locked in Consul only ({path}), where a run does not look whose payload brings the document (a keyprefix watch)"
        ))
    })?;
    Ok(Locked { file: order.file.clone(), reason, path, before, is_there: file.exists() })
}

/// Makes the marker next to a file; and says why it was locked before, as far as that can be read.
fn make_marker(file: &Path, text: &str, marker: Marker) -> (Option<String>, Result<()>) {
    let target = match lock_file::place(file) {
        Ok(Some(target)) => target,
        Ok(None) => return (None, Err(lock_file::has_no_directory(file))),
        Err(error) => return (None, Err(error.of("the file cannot be locked by a marker next to it"))),
    };
    let before = lock_file::reason(&target).unwrap_or_default();
    let made = match marker {
        Marker::Visible(mode) => lock_file::lock_visibly(&target, text, mode),
        Marker::Hidden => lock_file::lock(&target, text),
    };
    (before, made)
}

/// Whether no file can be installed at this path, so that it must be misspelt: its name is too long, or its directory does not
/// exist, and no other user can have moved that away.
fn is_nowhere(file: &Path) -> bool {
    let is_gone = |directory: &Path| !directory.exists() && matches!(exposed(directory), Ok(None));
    lock_file::is_nameless(file) || file.parent().is_some_and(is_gone)
}

/// Unlocks a file. What was missed arrives with the next run.
///
/// # Errors
/// 69, 73, 75, 77, 78. If it fails, the file stays locked.
pub fn unlock(order: &LockOrder, context: &Context) -> Result<Unlocked> {
    let (file, path) = names(order, context);
    let client = order.site.client(context)?;
    let place = lock_file::place(&file).map_err(|error| error.and("the file stays locked"))?;
    let reason = marker::clear(&client, &path, context).map_err(|error| error.and("the file stays locked"))?;
    // What cannot be read can be removed.
    let beside = place.as_ref().and_then(|place| lock_file::reason(place).unwrap_or_default());
    place.as_ref().map_or(Ok(()), lock_file::unlock).map_err(|error| error.of("it stays locked"))?;
    let reason = reason.or(beside);
    Ok(Unlocked { file: order.file.clone(), reason, path, recorded: recorded(order, &file, context) })
}

/// The file's path as kvexpress takes it for the lock, and where its lock is in Consul: as kvx-out is given the file,
/// if it has installed it by another name.
fn names(order: &LockOrder, context: &Context) -> (PathBuf, String) {
    let given = path::absolute(&order.file);
    let file = recorded(order, &given, context).map_or(given, |known| known.state.locked_as().to_owned());
    let path = order.site.prefix.lock(&file, &context.env.hostname());
    (file, path)
}

/// A run that began before may be about to install.
fn wait_for_runs(order: &LockOrder, file: &Path, context: &Context) -> Result<()> {
    let Ok(target) = Target::resolve(file, Parents::MustExist) else { return Ok(()) };
    let directory = state::directory(order.state_dir.as_deref(), &context.env)?;
    let patience = Deadline::within(order.site.timeout.saturating_add(Duration::from_secs(60)));
    state::wait_for_runs(&directory, target.path(), patience, context)
        .map_err(|error| error.and("it is locked, but a run that began before may still change it"))
}

fn recorded(order: &LockOrder, file: &Path, context: &Context) -> Option<RecordedState> {
    let directory = state::directory(order.state_dir.as_deref(), &context.env).ok()?;
    state::read(&directory, &install::path_of(file)).ok()?
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locked on this node: {} ({})", self.reason, self.path)?;
        if let Some(before) = &self.before {
            write!(f, "; it was locked before: {before}")?;
        }
        if self.is_there { Ok(()) } else { f.write_str("; there is no such file yet") }
    }
}

impl fmt::Display for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "unlocked; it was locked: {reason}"),
            None => write!(f, "not locked (no {} in Consul, no mark beside it)", self.path),
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
