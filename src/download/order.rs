//! The parsed command line of `kvx-out`, in three parts: which document, which file, which handler.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::consul::{self, Consistency};
use crate::document::guard::Guards;
use crate::install::{Attributes, Parents, WriteMode};
use crate::layout::keys::{Prefix, Subject};
use crate::process::check::Check;
use crate::process::handler::Handler;

/// How long a run can hold the file's lock beyond its two limits: the time to kill a check and a handler that do not end, and
/// to read their output.
const GRACE: Duration = Duration::from_secs(14);

/// How long to wait for another run on the same file: as long as a run with these limits can take.
pub fn patience(timeout: Duration, handler_timeout: Duration) -> Duration {
    timeout.saturating_add(handler_timeout).saturating_add(GRACE)
}

/// What `kvx-out` does, parsed from the command line.
#[derive(Clone)]
pub struct DownloadOrder {
    /// Which document to read, and how.
    pub source: SourceOrder,
    /// Where to install it.
    pub target: TargetOrder,
    /// What to run afterwards.
    pub after: AfterOrder,
}

/// Which document to read, and how.
#[derive(Clone)]
pub struct SourceOrder {
    /// `-k` or `--raw`. If `None`, the payload names the key.
    pub subject: Option<Subject>,
    /// `-p`.
    pub prefix: Prefix,
    /// Which Consul.
    pub consul: consul::ConnectOptions,
    /// `--stale`, `--consistent`.
    pub consistency: Consistency,
    /// `--ignore-stop`.
    pub ignores_stop: bool,
    /// Whether a hold that the token must not read is ignored, as kvexpress would do.
    pub hold_may_be_denied: bool,
    /// `-l`, `--max-size`, `--max-shrink`.
    pub guards: Guards,
    /// `--payload`, or whether the environment implies a payload.
    pub stdin: Stdin,
    /// `--splay`: maximum delay before the run starts.
    pub splay: Option<Duration>,
    /// `--wait`: maximum wait for a key that does not exist yet.
    pub wait: Option<Duration>,
    /// `--timeout`: limit for reading the payload, and again for all requests to Consul and the check together.
    pub timeout: Duration,
}

/// Where and how to install the document.
#[derive(Clone)]
pub struct TargetOrder {
    /// `-f`.
    pub to: Destination,
    /// `-c`, `-o`.
    pub attributes: Attributes,
    /// `--mkdir`.
    pub parents: Parents,
    /// `--in-place`.
    pub write_mode: WriteMode,
    /// `--check`.
    pub check: Option<Check>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--ignore-lock`.
    pub ignores_lock: bool,
    /// How long to wait for another run on the same file; see [`patience`].
    pub patience: Duration,
}

/// What to run after the document is installed.
#[derive(Clone)]
pub struct AfterOrder {
    /// `-e` or `-- ARGV`.
    pub handler: Option<Handler>,
    /// `--always-run`.
    pub policy: HandlerPolicy,
    /// The command line, recorded so that `kvx unlock --run` can repeat it. `None` if it contains a secret, depends on the
    /// working directory, or was for this run only.
    pub command: Option<Vec<String>>,
}

/// Where the document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file, replaced atomically.
    File(PathBuf),
    /// `-f -`: stdout, without state and handler.
    Stdout,
}

impl Destination {
    /// The file's path, unless the destination is stdout.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Destination::File(path) => Some(path),
            Destination::Stdout => None,
        }
    }
}

/// When to run the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerPolicy {
    /// Only while it has not succeeded for the installed document.
    WhenPending,
    /// On every run.
    Always,
}

/// Whether stdin carries a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// A watch's payload.
    Payload,
    /// Stdin is not read: it may belong to another program and never end.
    Untouched,
}
