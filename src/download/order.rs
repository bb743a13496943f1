//! What to install, where, and what to run then: the command line in three parts, each for the room that needs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::consul::{self, Consistency};
use crate::document::guard::Guards;
use crate::install::{Attributes, Parents, WriteMode};
use crate::layout::keys::{Prefix, Subject};
use crate::process::check::Check;
use crate::process::handler::Handler;

/// What a run may take in addition to its limits while it has the file's lock: until a check and a handler that do not end are
/// killed, and until their output is read.
const GRACES: Duration = Duration::from_secs(14);

/// How long another run on the same file is waited for, if both have these limits: as long as it may take.
pub fn patience(timeout: Duration, handler_timeout: Duration) -> Duration {
    timeout.saturating_add(handler_timeout).saturating_add(GRACES)
}

/// What to do, from the command line.
#[derive(Clone)]
pub struct DownloadOrder {
    /// Which document, and how it is read.
    pub source: SourceOrder,
    /// Where it goes.
    pub target: TargetOrder,
    /// What is run then.
    pub after: AfterOrder,
}

/// Which document, and how it is read.
#[derive(Clone)]
pub struct SourceOrder {
    /// `-k`, `--raw`; without them, the payload names the key.
    pub subject: Option<Subject>,
    /// `-p`.
    pub prefix: Prefix,
    /// Which Consul.
    pub consul: consul::ConnectOptions,
    /// `--stale`, `--consistent`.
    pub consistency: Consistency,
    /// `--ignore-stop`.
    pub ignores_stop: bool,
    /// `-l`, `--max-size`, `--max-shrink`.
    pub guards: Guards,
    /// `--payload`, or what suggests one.
    pub stdin: Stdin,
    /// `--splay`: the longest wait before anything is done.
    pub splay: Option<Duration>,
    /// `--wait`: the longest wait for a key that does not exist yet.
    pub wait: Option<Duration>,
    /// `--timeout`: for the payload, and then for all requests to Consul and the check.
    pub timeout: Duration,
}

/// Where the document goes.
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
    /// How long another run on the same file is waited for: as long as one may take.
    pub patience: Duration,
}

/// What is run once the document is installed.
#[derive(Clone)]
pub struct AfterOrder {
    /// `-e` or `-- ARGV`.
    pub handler: Option<Handler>,
    /// `--always-run`.
    pub policy: HandlerPolicy,
    /// The command line, to be run again later by another program; none where it holds a secret, means something else elsewhere,
    /// or was for this run only.
    pub command: Option<Vec<String>>,
}

/// Where the document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file, replaced atomically.
    File(PathBuf),
    /// `-f -`: stdout; no state and no handler.
    Stdout,
}

impl Destination {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Destination::File(path) => Some(path),
            Destination::Stdout => None,
        }
    }
}

/// When the handler is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerPolicy {
    /// When it has not succeeded yet for what is installed.
    WhenPending,
    /// At each run, whatever has changed.
    Always,
}

/// Whether there is a payload on stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// A watch's payload.
    Payload,
    /// Another program's; it may never end.
    Untouched,
}
