//! What a run of `kvx-out` did, or why it did nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::document::{Checksum, Verified};
use crate::layout::keys::Subject;
use crate::telemetry::outcome::{Ending, Handler, Summary};

/// What became of it.
#[derive(Debug)]
pub struct Report {
    /// What it was about, unless the payload was to name it and did not.
    pub subject: Option<Subject>,
    /// What was done.
    pub did: Did,
}

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum Did {
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
    Worked(Work),
}

/// What was done to a file.
#[derive(Debug)]
pub struct Work {
    pub(super) path: PathBuf,
    pub(super) document: Verified,
    pub(super) change: Change,
    /// Hard links of the file that was replaced.
    pub(super) other_names: u64,
    /// Until the file was right.
    pub(super) took: Duration,
    /// What became of the handler, if it had to run.
    pub(super) handler: Option<Paid>,
    pub(super) others: Others,
}

/// The file's other handlers, of other command lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None is owed, as far as a run knew of it.
    Paid,
    /// One is.
    Owed,
}

/// A handler that has succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paid {
    pub why: Why,
    pub took: Duration,
}

/// Why a handler is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has not succeeded yet for what is installed.
    Owed,
    /// `--always-run`.
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Installed,
    /// Owner or mode only.
    Mended,
    /// The same, by another file with the same content.
    Renewed,
    None,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        self.did.fmt(f)
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Did::Nothing => f.write_str(
                "nothing there (not yet, not any more, or not to be read with this token); the file stays as it is",
            ),
            Did::Unchanged(path, checksum, _) => write!(f, "{} unchanged, {}", path.display(), checksum.short()),
            Did::Stopped(reason) => write!(f, "stopped, the file stays as it is: {reason}"),
            Did::Locked(reason) => write!(f, "locked on this node, the file stays as it is: {reason}"),
            Did::Printed(document, None) => write!(f, "{document}"),
            Did::Printed(document, Some(reason)) => write!(f, "{document}, though the key is stopped: {reason}"),
            Did::Worked(work) => work.fmt(f),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.change {
            Change::Installed => write!(f, "{} installed in {} ms as {path}", self.document, self.took.as_millis())?,
            Change::Mended | Change::Renewed => write!(f, "owner or mode of {path} mended")?,
            Change::None => write!(f, "{path} unchanged")?,
        }
        match (self.change, self.other_names) {
            (Change::Installed, 1) => f.write_str(" (its other name, a hard link, keeps the old document)")?,
            (Change::Installed, 2..) => {
                write!(f, " (its {} other names, hard links, keep the old document)", self.other_names)?
            }
            (Change::Renewed, 1..) => {
                write!(f, " (its other names, hard links: {}, keep the old ones)", self.other_names)?
            }
            _ => {}
        }
        let Some(Paid { why, took }) = self.handler else { return Ok(()) };
        let owed =
            if why == Why::Owed && self.change != Change::Installed { "the handler that was owed" } else { "handler" };
        write!(f, ", {owed} ran in {} ms", took.as_millis())
    }
}

impl Did {
    /// What it is counted as.
    pub(super) fn ending(&self) -> Ending {
        match self {
            Did::Nothing => Ending::Nothing,
            Did::Unchanged(..) => Ending::Unchanged,
            Did::Stopped(_) => Ending::Stopped,
            Did::Locked(_) => Ending::Locked,
            Did::Printed(..) => Ending::Printed,
            Did::Worked(work) => match work.change {
                Change::Installed => Ending::Installed,
                Change::Mended | Change::Renewed => Ending::Mended,
                Change::None => Ending::Reloaded,
            },
        }
    }
}

impl Report {
    /// In words and numbers.
    pub(crate) fn sum_up(&self, begun: Summary) -> Summary {
        let begun = begun.came_to(self.did.ending());
        let of = |document: &Verified| begun.clone().with(document.checksum(), document.size());
        match &self.did {
            Did::Nothing => begun,
            Did::Unchanged(_, checksum, others) => Summary {
                checksum: Some(*checksum),
                handler: Handler::NotDue,
                pending: Some(*others == Others::Owed),
                ..begun
            },
            Did::Stopped(reason) | Did::Locked(reason) => begun.because(reason),
            Did::Printed(document, _) => of(document),
            Did::Worked(work) => Summary {
                handler: if work.handler.is_some() { Handler::Ran } else { Handler::NotDue },
                pending: Some(work.others == Others::Owed),
                ..of(&work.document)
            },
        }
    }

    /// Whether something was done, or was not that somebody may have expected: worth a line without `-v`.
    pub fn is_news(&self) -> bool {
        !matches!(self.did, Did::Unchanged(..) | Did::Printed(_, None))
    }
}
