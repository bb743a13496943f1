//! What a run of `kvx-in` did, or why it did nothing.

use std::fmt;

use super::{Mode, StopPolicy};
use crate::document::{Checksum, Verified};
use crate::layout::stored::EncodedDocument;
use crate::telemetry::outcome::{Outcome, RunResult};
use crate::util::text::size;

/// What became of it.
#[derive(Debug)]
pub enum UploadReport {
    /// Consul has it already.
    Unchanged(Verified),
    /// The key is stopped, for this reason: nothing was uploaded.
    Stopped(String),
    /// It would be uploaded, with this difference to what is in Consul; if the key is stopped, for this reason, only
    /// where that is ignored.
    WouldUpload(Verified, Vec<u8>, Option<String>, StopPolicy),
    /// It was uploaded.
    Uploaded(Upload),
}

/// An upload.
#[derive(Debug)]
pub struct Upload {
    /// What.
    pub stored: EncodedDocument,
    /// Instead of what.
    pub replaced: Replaced,
    /// Whether that is sure.
    pub answer: Answer,
    /// The key is stopped all the same, for this reason.
    pub stopped: Option<String>,
    /// What it changes, if that is wanted and known.
    pub difference: Option<String>,
}

/// Whether Consul said that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did.
    Received,
    /// It may have, but the connection broke. The document is there; if others were at it just then, one of them may have
    /// uploaded the same.
    Lost,
}

/// What was in Consul before.
#[derive(Clone, Copy, Debug)]
pub enum Replaced {
    /// Nothing.
    Nothing,
    /// Data and checksum that did not belong together.
    Torn,
    /// A document.
    Document(Checksum),
}

impl UploadReport {
    /// In words and numbers.
    pub(crate) fn outcome(&self, begun: Outcome) -> Outcome {
        let of = |document: &Verified| begun.clone().with(document.checksum(), document.size());
        match self {
            UploadReport::Unchanged(document) => of(document).with_result(RunResult::Unchanged),
            UploadReport::Stopped(reason) => begun.with_reason(reason).with_result(RunResult::Stopped),
            UploadReport::WouldUpload(document, ..) => of(document).with_result(RunResult::WouldUpload),
            UploadReport::Uploaded(upload) => {
                let bytes = u64::try_from(upload.stored.value().bytes.len()).ok();
                Outcome { bytes, ..of(upload.stored.document()) }.with_result(RunResult::Uploaded)
            }
        }
    }

    /// What an upload has changed, if that was wanted and is known.
    pub fn difference(self) -> Option<String> {
        match self {
            UploadReport::Uploaded(upload) => upload.difference,
            _ => None,
        }
    }

    /// Whether it is worth a line without `-v`. A dry run has nothing else to say.
    pub fn is_news(&self, mode: Mode) -> bool {
        mode == Mode::DryRun || !matches!(self, UploadReport::Unchanged(_))
    }
}

impl fmt::Display for UploadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UploadReport::Unchanged(document) => write!(f, "{document} unchanged"),
            UploadReport::Stopped(reason) => write!(f, "stopped, nothing uploaded: {reason}"),
            UploadReport::WouldUpload(document, _, None, _) => write!(f, "{document} would be uploaded"),
            UploadReport::WouldUpload(document, _, Some(reason), StopPolicy::Respected) => {
                write!(f, "{document} would be uploaded, but is stopped: {reason}")
            }
            UploadReport::WouldUpload(document, _, Some(reason), StopPolicy::Ignored) => {
                write!(f, "{document} would be uploaded, though stopped: {reason}")
            }
            UploadReport::Uploaded(upload) => upload.fmt(f),
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
            f.write_str(" (Consul's answer was lost, but it is there)")?;
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
