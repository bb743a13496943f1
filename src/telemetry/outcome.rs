//! The outcome of a run, for logs and metrics: words and numbers, never the content of a document.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::document::{Checksum, Size};
use crate::error::{Error, Kind, Status};
use crate::util::path;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The kind of the run.
    pub direction: Direction,
    /// The prefix of the keys in Consul.
    pub prefix: String,
    /// The key, if it is known. For a lock, its full path in the KV store.
    pub key: Option<String>,
    /// The absolute path of the file on this node, if there is one.
    pub file: Option<PathBuf>,
    pub result: RunResult,
    /// The exit status of a failed run.
    pub failure: Option<Status>,
    /// The document's checksum.
    pub checksum: Option<Checksum>,
    /// The document's size: as stored in Consul for an upload, as in the file for a download.
    pub bytes: Option<u64>,
    /// The document's lines, as kvexpress counts them.
    pub lines: Option<u64>,
    pub handler: HandlerOutcome,
    /// Whether a handler of the file is pending, of this command line or of another one; none if unknown.
    pub pending: Option<bool>,
    /// The reason of a stop or a lock; the source key of a copy; the error message of a failure.
    pub reason: Option<String>,
    /// The duration of the run.
    pub took: Duration,
    /// How many requests to Consul were retried.
    pub retries: u64,
}

/// The kind of a run, by kvexpress's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Direction {
    In,
    Out,
    Raw,
    Copy,
    Stop,
    Lock,
    Unlock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// The document was uploaded to Consul, or copied to another key.
    Uploaded,
    /// A dry run would have uploaded the document.
    WouldUpload,
    /// Everything was up to date.
    Unchanged,
    /// The key is stopped: it was already, or `kvx stop` stopped it.
    Stopped,
    /// The key is held at another document.
    Held,
    /// The file is locked: it was already, or `kvx lock` locked it.
    Locked,
    /// `kvx unlock` removed the lock of the file.
    Unlocked,
    /// A new document was installed.
    Installed,
    /// The owner or the mode of the file was restored.
    Restored,
    /// Only the handler ran.
    Reloaded,
    /// The document was printed to stdout.
    Printed,
    /// There was nothing to do.
    Nothing,
    /// The document is too short.
    TooShort,
    /// The pair in Consul is torn: data and checksum do not match.
    Torn,
    /// A new document was installed, but its handler failed.
    InstalledOnly,
    /// The document was installed already. The handler, which was pending or always runs, failed.
    HandlerFailed,
    Failed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandlerOutcome {
    /// The run does not know.
    #[default]
    Unknown,
    /// No handler was pending, and none ran.
    NotDue,
    /// It ran and succeeded.
    Ran,
    /// It failed and is still pending.
    Pending,
}

impl Direction {
    /// The value of `direction` in the JSON log and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Raw => "raw",
            Direction::Copy => "copy",
            Direction::Stop => "stop",
            Direction::Lock => "lock",
            Direction::Unlock => "unlock",
        }
    }
}

impl RunResult {
    /// The result of a run that failed with this error.
    pub fn from_error(error: &Error) -> RunResult {
        match error.kind() {
            None => RunResult::Failed,
            Some(Kind::TooShort) => RunResult::TooShort,
            Some(Kind::Torn) => RunResult::Torn,
        }
    }

    /// The value of `result` in the JSON log and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            RunResult::Uploaded => "uploaded",
            RunResult::WouldUpload => "would_upload",
            RunResult::Unchanged => "unchanged",
            RunResult::Stopped => "stopped",
            RunResult::Held => "held",
            RunResult::Locked => "locked",
            RunResult::Unlocked => "unlocked",
            RunResult::Installed => "installed",
            RunResult::Restored => "restored",
            RunResult::Reloaded => "reloaded",
            RunResult::Printed => "printed",
            RunResult::Nothing => "nothing",
            RunResult::TooShort => "too_short",
            RunResult::Torn => "torn",
            RunResult::InstalledOnly | RunResult::HandlerFailed => "handler_failed",
            RunResult::Failed => "failed",
        }
    }
}

impl HandlerOutcome {
    /// The value of `handler` in the JSON log, if there is one.
    pub fn word(self) -> Option<&'static str> {
        match self {
            HandlerOutcome::Unknown => None,
            HandlerOutcome::NotDue => Some("not_due"),
            HandlerOutcome::Ran => Some("ran"),
            HandlerOutcome::Pending => Some("pending"),
        }
    }
}

impl Outcome {
    /// The outcome of a failed run of this duration, with this number of retries. The other methods add what else is
    /// known.
    pub fn new(direction: Direction, prefix: impl Display, took: Duration, retries: u64) -> Outcome {
        Outcome {
            direction,
            prefix: prefix.to_string(),
            key: None,
            file: None,
            result: RunResult::Failed,
            failure: None,
            checksum: None,
            bytes: None,
            lines: None,
            handler: HandlerOutcome::Unknown,
            pending: None,
            reason: None,
            took,
            retries,
        }
    }

    /// The same, with its key and file.
    pub fn on(self, key: Option<impl Display>, file: Option<&Path>) -> Outcome {
        let file = file.map(|file| path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        Outcome { key: key.map(|key| key.to_string()), file, ..self }
    }

    /// The exit status, as the process returns it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status())
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.failure.map_or(0, |status| status as u8)
    }

    /// The same, with this result.
    pub fn with_result(self, result: RunResult) -> Outcome {
        Outcome { result, ..self }
    }

    /// The same, with this document.
    pub fn with_document(self, checksum: Checksum, size: Size) -> Outcome {
        Outcome { checksum: Some(checksum), bytes: Some(size.bytes()), lines: Some(size.lines()), ..self }
    }

    /// The same, with this reason.
    pub fn with_reason(self, reason: &str) -> Outcome {
        Outcome { reason: Some(reason.to_owned()), ..self }
    }

    /// The same, failed with this error.
    pub fn failed(self, error: &Error) -> Outcome {
        let failed = Outcome { failure: Some(error.status()), ..self };
        failed.with_reason(&error.to_string()).with_result(RunResult::from_error(error))
    }
}

/// The outcome of an upload, a download or a command, for its log line and its metrics.
pub trait RunOutcome {
    /// The log line.
    fn line(&self) -> String;

    /// Whether the line is printed without `-v`.
    fn is_news(&self) -> bool {
        true
    }

    /// Adds what is known of this run to `base`, which every run has.
    fn outcome(&self, base: Outcome) -> Outcome;

    /// The diff of an upload, if it was requested and is known.
    fn difference(&self) -> Option<&str> {
        None
    }

    /// The error of a handler that failed after a new document was installed or reloaded.
    fn failure(&self) -> Option<&Error> {
        None
    }
}
