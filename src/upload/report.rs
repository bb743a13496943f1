//! What a run of `kvx-in` did, or why it did nothing: its line, its result for logs and metrics.

use std::fmt;

use super::{Mode, StopPolicy};
use crate::document::{Checksum, Verified};
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
    /// The key is stopped, for this reason; nothing was uploaded.
    Stopped(String),
    /// A dry run: the document, its diff against the key's document, the reason of the key's stop if there is one, and whether
    /// the stop would prevent the upload.
    WouldUpload(Verified, Vec<u8>, Option<String>, StopPolicy),
    /// The document was uploaded.
    Uploaded(Upload),
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
    /// The reason of the key's stop, if the stop was ignored.
    pub stopped: Option<String>,
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
            UploadEffect::Stopped(reason) => begun.with_reason(reason).with_result(RunResult::Stopped),
            UploadEffect::WouldUpload(document, ..) => of(document).with_result(RunResult::WouldUpload),
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
            UploadEffect::Stopped(reason) => write!(f, "stopped, nothing uploaded: {reason}"),
            UploadEffect::WouldUpload(document, _, None, _) => write!(f, "{document} would be uploaded"),
            UploadEffect::WouldUpload(document, _, Some(reason), StopPolicy::Respected) => {
                write!(f, "{document} would be uploaded, but is stopped: {reason}")
            }
            UploadEffect::WouldUpload(document, _, Some(reason), StopPolicy::Ignored) => {
                write!(f, "{document} would be uploaded, though stopped: {reason}")
            }
            UploadEffect::Uploaded(upload) => upload.fmt(f),
        }
    }
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
        match &self.stopped {
            Some(reason) => write!(f, ", though stopped: {reason}"),
            None => Ok(()),
        }
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
