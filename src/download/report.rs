//! What a run of `kvx-out` did, or why it did nothing: its line, its result for logs and metrics.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::document::{Checksum, Verified};
use crate::error::Error;
use crate::layout::hold::Hold;
use crate::layout::keys::Subject;
use crate::telemetry::outcome::{HandlerOutcome, Outcome, RunOutcome, RunResult};

/// What a run did, and for which subject.
#[derive(Debug)]
pub struct DownloadReport {
    /// The document or value; `None` if the payload should have named it and did not.
    pub subject: Option<Subject>,
    /// What was done.
    pub effect: Effect,
}

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum Effect {
    /// The payload says that the key does not exist or cannot be read, or the key was deleted since.
    Nothing,
    /// The file is up to date, and the handler is not pending.
    Unchanged {
        /// The file.
        path: PathBuf,
        /// The document's checksum.
        checksum: Checksum,
        /// Whether the state file lists a pending handler of another command line.
        other_handlers_pending: bool,
    },
    /// The key is stopped, for this reason.
    Stopped(String),
    /// The key is held at another document than Consul has.
    Held(Hold),
    /// The file is locked on this node, for this reason.
    Locked(String),
    /// The document was printed to stdout. The text is the reason of the key's stop, if there is one.
    Printed(Verified, Option<String>),
    /// The file or its attributes changed, or the handler ran.
    Applied(Applied),
}

/// What was done to a file.
#[derive(Debug)]
pub struct Applied {
    pub(super) path: PathBuf,
    pub(super) document: Verified,
    pub(super) change: FileChange,
    /// Number of other hard links of the file that was replaced.
    pub(super) other_names: u64,
    /// Time until the file was installed.
    pub(super) took: Duration,
    /// The handler's run, if it ran.
    pub(super) handler: Option<HandlerRun>,
    /// Whether the state file lists a pending handler of another command line.
    pub(super) other_handlers_pending: bool,
}

#[derive(Debug)]
pub(super) struct HandlerRun {
    pub reason: HandlerReason,
    /// Its duration, or why it failed.
    pub result: Result<Duration, Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandlerReason {
    /// It has not succeeded yet for the installed document.
    Pending,
    /// `--always-run`.
    Always,
}

/// How the file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    Installed,
    /// Owner or mode was changed on the same file.
    Repaired,
    /// Owner or mode was changed: a new file with the same content replaced the old one.
    Replaced,
    None,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Nothing => f.write_str("the key does not exist, or this token cannot read it; file left unchanged"),
            Effect::Unchanged { path, checksum, .. } => {
                write!(f, "{} unchanged, {}", path.display(), checksum.short())
            }
            Effect::Stopped(reason) => write!(f, "stopped, file left unchanged: {reason}"),
            Effect::Held(Hold { checksum, reason }) => {
                write!(f, "held at {}, file left unchanged: {reason}", checksum.short())
            }
            Effect::Locked(reason) => write!(f, "locked on this node, file left unchanged: {reason}"),
            Effect::Printed(document, None) => write!(f, "{document}"),
            Effect::Printed(document, Some(reason)) => write!(f, "{document}, though the key is stopped: {reason}"),
            Effect::Applied(applied) => applied.fmt(f),
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
            FileChange::Repaired | FileChange::Replaced => write!(f, "owner or mode of {path} restored")?,
            FileChange::None => write!(f, "{path} unchanged")?,
        }
        match (self.change, self.other_names) {
            (FileChange::Installed, 1) => f.write_str(" (its other name, a hard link, keeps the old document)")?,
            (FileChange::Installed, 2..) => {
                write!(f, " (its {} other names, hard links, keep the old document)", self.other_names)?
            }
            (FileChange::Replaced, 1) => f.write_str(" (its other name, a hard link, keeps the old ones)")?,
            (FileChange::Replaced, 2..) => {
                write!(f, " (its {} other names, hard links, keep the old ones)", self.other_names)?
            }
            _ => {}
        }
        let Some(HandlerRun { reason, result: Ok(took) }) = &self.handler else { return Ok(()) };
        let which = if *reason == HandlerReason::Pending && self.change != FileChange::Installed {
            "the pending handler"
        } else {
            "handler"
        };
        write!(f, ", {which} ran in {} ms", took.as_millis())
    }
}

impl Effect {
    /// The result for logs and metrics.
    pub(super) fn result(&self) -> RunResult {
        match self {
            Effect::Nothing => RunResult::Nothing,
            Effect::Unchanged { .. } => RunResult::Unchanged,
            Effect::Stopped(_) => RunResult::Stopped,
            Effect::Held(_) => RunResult::Held,
            Effect::Locked(_) => RunResult::Locked,
            Effect::Printed(..) => RunResult::Printed,
            Effect::Applied(applied) => match (applied.change, self.failure()) {
                (FileChange::Installed, Some(_)) => RunResult::InstalledOnly,
                (_, Some(_)) => RunResult::HandlerFailed,
                (FileChange::Installed, None) => RunResult::Installed,
                (FileChange::Repaired | FileChange::Replaced, None) => RunResult::Restored,
                (FileChange::None, None) => RunResult::Reloaded,
            },
        }
    }

    /// Why the handler failed, if it did.
    pub(super) fn failure(&self) -> Option<&Error> {
        match self {
            Effect::Applied(Applied { handler: Some(run), .. }) => run.result.as_ref().err(),
            _ => None,
        }
    }

    /// The same effect, with the handler's failure changed by `explain`.
    pub(super) fn map_failure(mut self, explain: impl FnOnce(Error) -> Error) -> Effect {
        if let Effect::Applied(Applied { handler: Some(run), .. }) = &mut self
            && let Err(error) = &run.result
        {
            run.result = Err(explain(error.clone()));
        }
        self
    }
}

impl RunOutcome for DownloadReport {
    fn line(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{subject}: {}", self.effect),
            None => self.effect.to_string(),
        }
    }

    fn is_news(&self) -> bool {
        !matches!(self.effect, Effect::Unchanged { .. } | Effect::Printed(_, None))
    }

    fn failure(&self) -> Option<&Error> {
        self.effect.failure()
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        let begun = begun.with_result(self.effect.result());
        match &self.effect {
            Effect::Nothing => begun,
            Effect::Unchanged { checksum, other_handlers_pending, .. } => Outcome {
                checksum: Some(*checksum),
                handler: HandlerOutcome::NotDue,
                pending: Some(*other_handlers_pending),
                ..begun
            },
            Effect::Stopped(reason) | Effect::Locked(reason) | Effect::Held(Hold { reason, .. }) => {
                begun.with_reason(reason)
            }
            Effect::Printed(document, _) => begun.with_document(document.checksum(), document.size()),
            Effect::Applied(applied) => {
                let begun = begun.with_document(applied.document.checksum(), applied.document.size());
                match &applied.handler {
                    Some(HandlerRun { result: Err(error), .. }) => Outcome {
                        failure: Some(error.status()),
                        handler: HandlerOutcome::Pending,
                        pending: Some(true),
                        ..begun.with_reason(&error.to_string())
                    },
                    Some(HandlerRun { result: Ok(_), .. }) => {
                        Outcome { handler: HandlerOutcome::Ran, pending: Some(applied.other_handlers_pending), ..begun }
                    }
                    None => Outcome {
                        handler: HandlerOutcome::NotDue,
                        pending: Some(applied.other_handlers_pending),
                        ..begun
                    },
                }
            }
        }
    }
}
