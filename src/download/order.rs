//! What to install, where, and what to do then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::consul::{self, Consistency};
use crate::document::guard::Guards;
use crate::install::{Attributes, Parents, WriteMode};
use crate::layout::keys::{Prefix, Subject};
use crate::process::check::Check;
use crate::process::handler::Handler;

/// What a run may take besides, while it has the file's lock: until a check and a handler that do not end are killed, and
/// until their output is read.
const GRACES: Duration = Duration::from_secs(14);

/// How long another run on the same file is waited for, if both have these limits: as long as it may take.
pub fn patience(timeout: Duration, handler_timeout: Duration) -> Duration {
    timeout.saturating_add(handler_timeout).saturating_add(GRACES)
}

/// What to do, from the command line.
#[derive(Clone)]
pub struct DownloadOrder {
    /// `-k`, `--raw`; without them, the payload names the key.
    pub subject: Option<Subject>,
    /// `-p`.
    pub prefix: Prefix,
    /// `-f`.
    pub to: Destination,
    /// `-l`, `--max-size`, `--max-shrink`.
    pub guards: Guards,
    /// `-c`, `-o`.
    pub attributes: Attributes,
    /// `--mkdir`.
    pub parents: Parents,
    /// `--in-place`.
    pub manner: WriteMode,
    /// `--check`.
    pub check: Option<Check>,
    /// `-e` or `-- ARGV`.
    pub handler: Option<Handler>,
    /// `--always-run`.
    pub due: HandlerPolicy,
    /// `--splay`: at most so long, before anything is done.
    pub splay: Option<Duration>,
    /// `--wait`: so long for a key that is not there yet.
    pub wait: Option<Duration>,
    /// `--payload`, or what suggests one.
    pub stdin: Stdin,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--stale`, `--consistent`.
    pub consistency: Consistency,
    /// `--timeout`: for the payload, and then for all talk with Consul and the check.
    pub timeout: Duration,
    /// How long another run on the same file is waited for: as long as one may take.
    pub patience: Duration,
    /// Which Consul.
    pub consul: consul::ConnectOptions,
    /// `--ignore-stop`, `--ignore-lock`.
    pub ignored: Ignored,
    /// The command line, to be run again by somebody else; none where it holds a secret, means something else elsewhere,
    /// or was for this once.
    pub words: Option<Vec<String>>,
}

/// Which marks are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// That the key is stopped.
    pub stop: bool,
    /// That the file is locked.
    pub lock: bool,
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
    /// Somebody else's; it may never end.
    Untouched,
}
