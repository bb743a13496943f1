//! What a run of `kvx-in` did, or why it did nothing: its line, its result for logs and metrics.

use std::fmt;

use super::Mode;
use crate::document::{Checksum, Verified};
use crate::error::{Error, Status};
use crate::layout::hold::Hold;
use crate::layout::keys::Key;
use crate::layout::stored::EncodedDocument;
use crate::telemetry::outcome::{Outcome, RunOutcome, RunResult};
use crate::util::text::size;

/// What a run did, and to which key.
#[derive(Debug)]
pub struct UploadReport {
    /// The key.
    pub key: Key,
    /// Whether it was a dry run.
    pub mode: Mode,
    /// What was done.
    pub effect: UploadEffect,
}

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum UploadEffect {
    /// The key has this document already.
    Unchanged(Verified),
    /// Nothing was uploaded, because of this.
    Prevented(Obstacle),
    /// A dry run.
    WouldUpload(Preview),
    /// The document was uploaded.
    Uploaded(Upload),
}

/// What an operator has set against uploads of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The key is stopped, for this reason.
    Stop(String),
    /// The key is held at another document.
    Hold(Hold),
}

/// What a dry run would upload.
#[derive(Debug)]
pub struct Preview {
    /// The document.
    pub document: Verified,
    /// Its diff against the key's document.
    pub difference: Vec<u8>,
    /// What would prevent the upload.
    pub prevented_by: Option<Obstacle>,
    /// What would be ignored.
    pub ignored: Vec<Obstacle>,
}

/// An upload.
#[derive(Debug)]
pub struct Upload {
    /// The document.
    pub stored: EncodedDocument,
    /// What the key held before.
    pub replaced: Replaced,
    /// Whether Consul confirmed the write.
    pub answer: Answer,
    /// What was ignored.
    pub ignored: Vec<Obstacle>,
    /// The diff, if an event needs it.
    pub difference: Option<String>,
}

/// Whether Consul confirmed the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Consul confirmed it.
    Received,
    /// The connection broke before the answer. The key has the document; another writer may have uploaded the same one.
    Lost,
}

/// What the key held before.
#[derive(Clone, Copy, Debug)]
pub enum Replaced {
    /// Nothing.
    Nothing,
    /// Data and checksum that did not match.
    Torn,
    /// A document.
    Document(Checksum),
}

impl UploadEffect {
    /// Adds the result, checksum and sizes to the outcome.
    pub(super) fn outcome(&self, begun: Outcome) -> Outcome {
        let of = |document: &Verified| begun.clone().with_document(document.checksum(), document.size());
        match self {
            UploadEffect::Unchanged(document) => of(document).with_result(RunResult::Unchanged),
            UploadEffect::Prevented(Obstacle::Stop(reason)) => {
                begun.with_reason(reason).with_result(RunResult::Stopped)
            }
            UploadEffect::Prevented(Obstacle::Hold(hold)) => {
                begun.with_reason(&hold.reason).with_result(RunResult::Held)
            }
            UploadEffect::WouldUpload(preview) => of(&preview.document).with_result(RunResult::WouldUpload),
            UploadEffect::Uploaded(upload) => {
                let bytes = u64::try_from(upload.stored.value().bytes.len()).ok();
                Outcome { bytes, ..of(upload.stored.document()) }.with_result(RunResult::Uploaded)
            }
        }
    }
}

impl RunOutcome for UploadReport {
    fn line(&self) -> String {
        format!("{}: {}", self.key, self.effect)
    }

    /// A dry run always prints its line: it has no other result.
    fn is_news(&self) -> bool {
        self.mode == Mode::DryRun || !matches!(self.effect, UploadEffect::Unchanged(_))
    }

    fn outcome(&self, begun: Outcome) -> Outcome {
        self.effect.outcome(begun)
    }

    fn difference(&self) -> Option<&str> {
        match &self.effect {
            UploadEffect::Uploaded(upload) => upload.difference.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for UploadEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UploadEffect::Unchanged(document) => write!(f, "{document} unchanged"),
            UploadEffect::Prevented(obstacle) => {
                write!(f, "{}, nothing uploaded: {}", obstacle.state(), obstacle.reason())
            }
            UploadEffect::WouldUpload(preview) => preview.fmt(f),
            UploadEffect::Uploaded(upload) => upload.fmt(f),
        }
    }
}

impl Obstacle {
    /// `stopped`, or `held at 3f9a41c2…`.
    pub(super) fn state(&self) -> String {
        match self {
            Obstacle::Stop(_) => "stopped".into(),
            Obstacle::Hold(hold) => format!("held at {}", hold.checksum.short()),
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Obstacle::Stop(reason) => reason,
            Obstacle::Hold(hold) => &hold.reason,
        }
    }

    /// The error of a command that must not be refused silently.
    pub(super) fn as_error(&self, done: &str) -> Error {
        let remedy = match self {
            Obstacle::Stop(_) => "`kvx resume` it first, or give --ignore-stop",
            Obstacle::Hold(_) => {
                "`kvx release` it first, or give --ignore-hold, which moves the hold to the new document"
            }
        };
        Status::TryAgain.error(format!("{}, nothing {done}: {}; {remedy}", self.state(), self.reason()))
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} would be uploaded", self.document)?;
        match &self.prevented_by {
            Some(obstacle) => write!(f, ", but is {}: {}", obstacle.state(), obstacle.reason()),
            None => print_ignored(&self.ignored, f),
        }
    }
}

fn print_ignored(ignored: &[Obstacle], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    ignored.iter().try_for_each(|obstacle| write!(f, ", though {}: {}", obstacle.state(), obstacle.reason()))
}

impl fmt::Display for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} uploaded, ", self.stored.document())?;
        if let Some(encoded) = self.stored.encoded() {
            write!(f, "compressed to {}, ", size(encoded.len()))?;
        }
        self.replaced.fmt(f)?;
        if self.answer == Answer::Lost {
            f.write_str(" (Consul's answer was lost, but the key has the document)")?;
        }
        print_ignored(&self.ignored, f)
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replaced::Nothing => f.write_str("the first of this key"),
            Replaced::Torn => f.write_str("in place of a torn pair"),
            Replaced::Document(checksum) => write!(f, "in place of {}", checksum.short()),
        }
    }
}
