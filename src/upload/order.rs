//! What to upload, where, and under which terms.

use std::time::Duration;

use crate::consul::{self, Consistency};
use crate::document::Checksum;
use crate::document::guard::Guards;
use crate::input::Input;
use crate::layout::keys::{Key, Prefix};
use crate::layout::stored::Encoding;

/// An event is not worth more time.
pub const DIFFER: Duration = Duration::from_millis(200);

/// What to do, from the command line.
#[derive(Clone)]
pub struct UploadOrder {
    /// Where the document goes, and under which terms.
    pub terms: Terms,
    /// stdin, `-f`, `-u` or `-- CMD`.
    pub input: Input,
    /// `-S`.
    pub lines: Lines,
    /// `-z`.
    pub form: Encoding,
    /// `--timeout`: for reading the input, and then for all talk with Consul.
    pub timeout: Duration,
    /// Which Consul.
    pub consul: consul::ConnectOptions,
}

/// What it takes to replace a document by another, wherever that comes from.
#[derive(Clone)]
pub struct Terms {
    /// `-k`.
    pub key: Key,
    /// `-p`.
    pub prefix: Prefix,
    /// `-l`, `--max-size` (of what is stored), `--max-shrink`.
    pub guards: Guards,
    /// `--expect`: the document that is to be replaced must have this checksum.
    pub expect: Option<Checksum>,
    /// `--ignore-stop`.
    pub stop: StopPolicy,
    /// `-n`.
    pub mode: Mode,
    /// `--events`: afterwards, so long at most, to find out what the change was.
    pub differ: Option<Duration>,
    /// `--consistent`.
    pub consistency: Consistency,
}

/// What becomes of the lines of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They are the document.
    AsTheyAre,
    /// They are sorted.
    Sorted,
}

/// What the mark that a key is stopped means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPolicy {
    /// Nothing is uploaded.
    Respected,
    /// It is told of, and no more.
    Ignored,
}

/// Whether to upload, or only to show what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Upload.
    Upload,
    /// Show the difference and send nothing.
    DryRun,
}
