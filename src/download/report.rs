//! What a run of `kvx-out` did, or why it did nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::document::{Checksum, Verified};
use crate::layout::keys::Subject;
use crate::telemetry::outcome::{HandlerOutcome, Outcome, RunResult};

/// What became of it.
#[derive(Debug)]
pub struct DownloadReport {
    /// What it was about, unless the payload was to name it and did not.
    pub subject: Option<Subject>,
    /// What was done.
    pub did: Effect,
}

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum Effect {
    /// The payload says that there is nothing, or that it may not be read; or there was, and is not any more.
    Nothing,
    /// The file is as it should be, and the handler is not owed.
    Unchanged(PathBuf, Checksum, Others),
    /// The key is stopped, for this reason.
    Stopped(String),
    /// The file is locked on this node, for this reason.
    Locked(String),
    /// The document went to stdout.
    Printed(Verified, Option<String>),
    /// The file was brought up to date.
    Applied(Applied),
}

/// What was done to a file.
#[derive(Debug)]
pub struct Applied {
    pub(super) path: PathBuf,
    pub(super) document: Verified,
    pub(super) change: FileChange,
    /// Hard links of the file that was replaced.
    pub(super) other_names: u64,
    /// Until the file was right.
    pub(super) took: Duration,
    /// What became of the handler, if it had to run.
    pub(super) handler: Option<HandlerRun>,
    pub(super) others: Others,
}

/// The file's other handlers, of other command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None is owed, as far as a run knew of it.
    Done,
    /// One is.
    Pending,
}

/// A handler that has succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandlerRun {
    pub why: HandlerReason,
    pub took: Duration,
}

/// Why a handler is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandlerReason {
    /// It has not succeeded yet for what is installed.
    Pending,
    /// `--always-run`.
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    Installed,
    /// Owner or mode only.
    Repaired,
    /// The same, by another file with the same content.
    Replaced,
    None,
}

impl fmt::Display for DownloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        self.did.fmt(f)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Nothing => f.write_str(
                "nothing there (not yet, not any more, or not to be read with this token); the file stays as it is",
            ),
            Effect::Unchanged(path, checksum, _) => write!(f, "{} unchanged, {}", path.display(), checksum.short()),
            Effect::Stopped(reason) => write!(f, "stopped, the file stays as it is: {reason}"),
            Effect::Locked(reason) => write!(f, "locked on this node, the file stays as it is: {reason}"),
            Effect::Printed(document, None) => write!(f, "{document}"),
            Effect::Printed(document, Some(reason)) => write!(f, "{document}, though the key is stopped: {reason}"),
            Effect::Applied(work) => work.fmt(f),
        }
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.change {
            FileChange::Installed => {
                write!(f, "{} installed in {} ms as {path}", self.document, self.took.as_millis())?
            }
            FileChange::Repaired | FileChange::Replaced => write!(f, "owner or mode of {path} mended")?,
            FileChange::None => write!(f, "{path} unchanged")?,
        }
        match (self.change, self.other_names) {
            (FileChange::Installed, 1) => f.write_str(" (its other name, a hard link, keeps the old document)")?,
            (FileChange::Installed, 2..) => {
                write!(f, " (its {} other names, hard links, keep the old document)", self.other_names)?
            }
            (FileChange::Replaced, 1..) => {
                write!(f, " (its other names, hard links: {}, keep the old ones)", self.other_names)?
            }
            _ => {}
        }
        let Some(HandlerRun { why, took }) = self.handler else { return Ok(()) };
        let owed = if why == HandlerReason::Pending && self.change != FileChange::Installed {
            "the handler that was owed"
        } else {
            "handler"
        };
        write!(f, ", {owed} ran in {} ms", took.as_millis())
    }
}

impl Effect {
    /// What it is counted as.
    pub(super) fn result(&self) -> RunResult {
        match self {
            Effect::Nothing => RunResult::Nothing,
            Effect::Unchanged(..) => RunResult::Unchanged,
            Effect::Stopped(_) => RunResult::Stopped,
            Effect::Locked(_) => RunResult::Locked,
            Effect::Printed(..) => RunResult::Printed,
            Effect::Applied(work) => match work.change {
                FileChange::Installed => RunResult::Installed,
                FileChange::Repaired | FileChange::Replaced => RunResult::Repaired,
                FileChange::None => RunResult::Reloaded,
            },
        }
    }
}

impl DownloadReport {
    /// In words and numbers.
    pub(crate) fn outcome(&self, begun: Outcome) -> Outcome {
        let begun = begun.with_result(self.did.result());
        let of = |document: &Verified| begun.clone().with(document.checksum(), document.size());
        match &self.did {
            Effect::Nothing => begun,
            Effect::Unchanged(_, checksum, others) => Outcome {
                checksum: Some(*checksum),
                handler: HandlerOutcome::NotDue,
                pending: Some(*others == Others::Pending),
                ..begun
            },
            Effect::Stopped(reason) | Effect::Locked(reason) => begun.with_reason(reason),
            Effect::Printed(document, _) => of(document),
            Effect::Applied(work) => Outcome {
                handler: if work.handler.is_some() { HandlerOutcome::Ran } else { HandlerOutcome::NotDue },
                pending: Some(work.others == Others::Pending),
                ..of(&work.document)
            },
        }
    }

    /// Whether something was done, or was not that somebody may have expected: worth a line without `-v`.
    pub fn is_news(&self) -> bool {
        !matches!(self.did, Effect::Unchanged(..) | Effect::Printed(_, None))
    }
}
