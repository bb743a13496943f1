//! What a run came to, for logs and metrics alike: words and numbers, and never a document's content.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::document::{Checksum, Size};
use crate::error::{Error, Kind, Status};
use crate::util::path;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What kind of run it was.
    pub direction: Direction,
    /// The folder of all keys.
    pub prefix: String,
    /// The key, if it is known; of a lock, its whole path in the KV store.
    pub key: Option<String>,
    /// The file on this node, if there is one, absolute.
    pub file: Option<PathBuf>,
    /// What came of it.
    pub result: RunResult,
    /// Why it failed, if it did.
    pub failure: Option<Status>,
    /// The document's.
    pub checksum: Option<Checksum>,
    /// As it is stored, for what was put into Consul; as it is in the file, for what came out.
    pub bytes: Option<u64>,
    /// As kvexpress counts.
    pub lines: Option<u64>,
    /// What is known of the handler.
    pub handler: HandlerOutcome,
    /// Whether a handler of the file is pending, this run's or another's, if it is known.
    pub pending: Option<bool>,
    /// Of a stop or a lock, why; of a copy, the key it is of; of a failure, its line.
    pub reason: Option<String>,
    /// All of the run.
    pub took: Duration,
    /// So many times Consul was asked again.
    pub retries: u64,
}

/// What kind of run it was: the word that kvexpress has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub enum Direction {
    In,
    Out,
    Raw,
    Copy,
    Stop,
    Lock,
    Unlock,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// The document is new in Consul, or was copied to another key.
    Uploaded,
    /// A dry run.
    WouldUpload,
    /// Everything is as it should be already.
    Unchanged,
    /// The key is stopped: it was found so, or, by `stop`, it is now.
    Stopped,
    /// The file is locked: it was found so, or, by `lock`, it is now.
    Locked,
    /// The file is not locked any more.
    Unlocked,
    /// The file is new.
    Installed,
    /// Owner or mode of the file are right now.
    Restored,
    /// Only the handler was run.
    Reloaded,
    /// The document went to stdout.
    Printed,
    /// There was nothing.
    Nothing,
    /// The document is too short.
    TooShort,
    /// Data and checksum in Consul do not belong together.
    Torn,
    /// The file is new, its handler failed.
    InstalledOnly,
    /// The handler failed that was pending, or is always run.
    HandlerFailed,
    /// Anything else that is no success.
    Failed,
}

/// What is known of the handler after the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandlerOutcome {
    /// Nothing new.
    #[default]
    Unknown,
    /// None is pending, and none was run.
    NotDue,
    /// It ran, and is paid.
    Ran,
    /// It failed, and stays pending.
    Pending,
}

impl Direction {
    /// The word.
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
    /// Of a run that failed.
    pub fn of(error: &Error) -> RunResult {
        match error.kind() {
            None => RunResult::Failed,
            Some(Kind::TooShort) => RunResult::TooShort,
            Some(Kind::Torn) => RunResult::Torn,
        }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            RunResult::Uploaded => "uploaded",
            RunResult::WouldUpload => "would_upload",
            RunResult::Unchanged => "unchanged",
            RunResult::Stopped => "stopped",
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
    /// The word, if there is something to say.
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
    /// Of a run that took so long, and asked Consul again so often, and of which nothing else is known yet.
    pub fn begun(direction: Direction, prefix: impl Display, took: Duration, retries: u64) -> Outcome {
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

    /// On that key and file.
    pub fn on(self, key: Option<impl Display>, file: Option<&Path>) -> Outcome {
        Outcome { key: key.map(|key| key.to_string()), file: file.map(path::absolute), ..self }
    }

    /// The exit status, for the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status())
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.failure.map_or(0, |status| status as u8)
    }

    /// It came to this.
    pub fn with_result(self, result: RunResult) -> Outcome {
        Outcome { result, ..self }
    }

    /// Of this document.
    pub fn with(self, checksum: Checksum, size: Size) -> Outcome {
        Outcome { checksum: Some(checksum), bytes: Some(size.bytes()), lines: Some(size.lines()), ..self }
    }

    /// For this reason.
    pub fn with_reason(self, reason: &str) -> Outcome {
        Outcome { reason: Some(reason.to_owned()), ..self }
    }

    /// It failed.
    pub fn failed(self, error: &Error) -> Outcome {
        let failed = Outcome { failure: Some(error.status()), ..self };
        failed.with_reason(&error.to_string()).with_result(RunResult::of(error))
    }
}

/// What a run came to, for its line and for its metrics.
pub trait RunOutcome {
    /// The line for people.
    fn line(&self) -> String;

    /// Whether the line is worth printing without `-v`.
    fn is_news(&self) -> bool {
        true
    }

    /// Words and numbers, added to what is known of every run.
    fn outcome(&self, begun: Outcome) -> Outcome;

    /// What an upload changed, if that was asked for and is known.
    fn difference(&self) -> Option<&str> {
        None
    }

    /// Why the run failed although it did something: its handler did.
    fn failure(&self) -> Option<&Error> {
        None
    }
}
