//! The parsed command line of `kvx-in`: what to upload, to which key, under which terms.

use std::time::Duration;

use crate::consul::{self, Consistency};
use crate::document::Checksum;
use crate::document::guard::Guards;
use crate::input::Input;
use crate::layout::history::Keep;
use crate::layout::keys::{Key, Prefix};
use crate::layout::stored::Encoding;

/// Maximum time for the diff in an event.
pub const DIFFER: Duration = Duration::from_millis(200);

/// What `kvx-in` does, parsed from the command line.
#[derive(Clone)]
pub struct UploadOrder {
    /// The key, and the terms for replacing its document.
    pub terms: Terms,
    /// stdin, `-f`, `-u` or `-- CMD`.
    pub input: Input,
    /// `-S`.
    pub lines: Lines,
    /// `-z`.
    pub form: Encoding,
    /// `--timeout`: limit for reading the input, and again for all requests to Consul together.
    pub timeout: Duration,
    /// Which Consul.
    pub consul: consul::ConnectOptions,
}

/// The key, and the conditions for replacing its document. `kvx copy` has them too.
#[derive(Clone)]
pub struct Terms {
    /// `-k`.
    pub key: Key,
    /// `-p`.
    pub prefix: Prefix,
    /// `-l`, `--max-size` (of the stored bytes), `--max-shrink`.
    pub guards: Guards,
    /// `--expect`: the checksum that the replaced document must have.
    pub expect: Option<Checksum>,
    /// `--ignore-stop`.
    pub stop: MarkerPolicy,
    /// `--ignore-hold`.
    pub hold: MarkerPolicy,
    /// `-n`.
    pub mode: Mode,
    /// `--events`: maximum time for computing the diff, after the upload.
    pub differ: Option<Duration>,
    /// `--consistent`.
    pub consistency: Consistency,
    /// What describes the upload in Consul.
    pub description: Description,
}

/// What describes an upload in Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// A record, and versions in the key's history.
    Record {
        /// Whether the record names the document that is replaced, as that of a rollback does not.
        undo: bool,
        /// `-m`.
        note: Option<String>,
        /// `--keep`.
        keep: Keep,
    },
    /// Nothing, as for kvexpress, whose keys these are.
    Nothing,
}

/// Whether to sort the input's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The input is the document.
    AsTheyAre,
    /// `-S`: the sorted lines are the document.
    Sorted,
}

/// Whether a stop or a hold prevents the upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerPolicy {
    /// The key is left unchanged.
    Respected,
    /// The document is uploaded, and the report mentions what was ignored. A hold is moved to the document.
    Ignored,
}

/// Whether to upload, or only to show the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Upload.
    Upload,
    /// `-n`: show the difference and upload nothing.
    DryRun,
}
