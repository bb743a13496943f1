//! What this node remembers of one file: which checksum is installed, and which handlers have run for it. The same small
//! file is the lock under which everything about that file is decided and done.
//!
//! Whatever is lost, at whatever moment, a missing or different state means that the handler is *owed*: one reload too
//! many, never one too few. So the state needs no fsync: a power loss makes an older one of it, and a restart of whatever
//! was to be reloaded. (But for `--in-place`: a file that is half of one must be known as such.)

mod directory;
mod format;
mod inspect;
mod last_run;
mod machine;
mod replay;

use std::fs::{Metadata, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use serde::{Deserialize, Serialize};

pub use self::directory::{StateDirectory, directory};
use self::directory::{cannot_write, is_ours};
pub use self::inspect::{RecordedState, all, is_there, path_of, read, sweep_abandoned, wait_for_runs};
pub use self::last_run::LastRun;
pub use self::replay::to_be_kept;
use crate::context::Context;
use crate::document::Checksum;
use crate::error::{Result, Status};
use crate::install::Wanted;
use crate::process::signals;
use crate::util::open;
use crate::util::time::{Backoff, Deadline};

/// No state is so large: not if each character of the longest command line is one that JSON spells out.
const LARGEST: u64 = 256 * 1024;

/// What is recorded of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The file, canonical.
    pub path: String,
    /// As it was named, where that is something else: a lock is of that path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The key it came from.
    pub key: String,
    /// The checksum of what was installed, in hex; none where no run has come so far yet, and then only the last run counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// The index of the document in Consul.
    #[serde(default)]
    pub index: u64,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub time: u64,
    /// The handlers that have succeeded since then.
    #[serde(default)]
    pub handlers: Vec<HandlerRecord>,
    /// Those that have not, as far as runs knew of them. (Others may be owed of which nobody knows yet.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<HandlerRecord>,
    /// The prefix of the key; none where it is the path of a value (`--raw`).
    #[serde(default)]
    pub prefix: Option<String>,
    /// The command line that wrote this, to be run again; empty where it may not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Written before it is put in its place: until that has surely come to its end, and onto the disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// What the command line wants of its mode and owner; a file that has something else has drifted.
    #[serde(default, skip_serializing_if = "Wanted::is_nothing")]
    pub wanted: Wanted,
    /// How the last run ended that did something, failed, or ended otherwise than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

/// A handler of which a run knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerRecord {
    /// Its id.
    pub handler: String,
    /// For people.
    pub words: String,
}

impl State {
    /// Of a document about to be installed: no handler has run for it.
    pub fn new(path: &Path, key: &str, checksum: Checksum, index: u64) -> State {
        State {
            checksum: Some(checksum.to_string()),
            index,
            time: now(),
            unfinished: true,
            ..State::of_nothing(path, key)
        }
    }

    /// Of a file for which no run has installed anything.
    pub fn of_nothing(path: &Path, key: &str) -> State {
        State {
            path: path.to_string_lossy().into_owned(),
            named: None,
            key: key.to_owned(),
            checksum: None,
            index: 0,
            time: 0,
            handlers: Vec::new(),
            owed: Vec::new(),
            prefix: None,
            command: Vec::new(),
            unfinished: false,
            wanted: Wanted::default(),
            last_run: None,
        }
    }

    /// The path by which the file is locked.
    pub fn locked_as(&self) -> &Path {
        Path::new(self.named.as_ref().unwrap_or(&self.path))
    }

    /// Whether it is of the same key, and locked by the same path.
    fn is_made_as(&self, other: &State) -> bool {
        (&self.key, &self.prefix, &self.named) == (&other.key, &other.prefix, &other.named)
    }

    /// Whether it is of this document.
    pub fn is_of(&self, checksum: Checksum) -> bool {
        self.checksum.as_ref().is_some_and(|is| *is == checksum.to_string())
    }

    /// Whether this handler still has to run for this checksum.
    pub fn owes(&self, handler: &str, checksum: Checksum) -> bool {
        !self.is_of(checksum) || !self.handlers.iter().any(|ran| ran.handler == handler)
    }
}

/// In seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// The lock of one file, held, with its state.
#[derive(Debug)]
pub struct StateFile {
    file: fs_err::File,
    /// As it was last written, if it is whole; perhaps of nothing but a last run.
    state: Option<State>,
    /// For whom the lock was waited for.
    waited: Duration,
}

impl StateFile {
    /// Takes the lock of the file at `path` (canonical), waiting until `deadline`. It is held until this is dropped.
    ///
    /// # Errors
    /// 73 where the state directory cannot be written, or others can write it too; 75 where somebody else holds the lock for too
    /// long.
    pub fn open(directory: &StateDirectory, path: &Path, deadline: Deadline, context: &Context) -> Result<StateFile> {
        signals::block_stops();
        let at = directory.file_of(path);
        directory.assert_private()?;
        let mut is_anew = false;
        let (mut file, metadata) = loop {
            let file = open(&at, directory)?;
            let busy = || format!("{}: another run is busy with it; waiting", path.display());
            let is_free = wait_for(|| file.file().try_lock(), deadline, context, busy);
            if !is_free.map_err(|cause| cannot_write(&cause))? {
                return Err(Status::TryAgain.error(format!(
                    "another run has been busy with the file for {}; try again once it has ended",
                    humantime::format_duration(deadline.limit())
                )));
            }
            let metadata = file.metadata().map_err(|cause| cannot_write(&cause))?;
            match () {
                // Taken away before we had its lock, which then is worth nothing.
                () if metadata.nlink() == 0 => {}
                // In a directory of our own: from other times, or by an administrator's hand. It counts as lost.
                () if !is_ours(&metadata) && !std::mem::replace(&mut is_anew, true) => {
                    fs_err::remove_file(&at).map_err(|cause| cannot_write(&cause))?;
                }
                () if !is_ours(&metadata) => {
                    return Err(cannot_write(&io::Error::other(format!(
                        "{} does not belong to this user, though it has just been created (NFS with root_squash?)",
                        at.display()
                    ))));
                }
                () => break (file, metadata),
            }
        };
        let state = format::read(&content(&mut file, &metadata).map_err(|cause| cannot_write(&cause))?);
        Ok(StateFile { state, file, waited: deadline.elapsed() })
    }

    /// How long another run was waited for.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether no run on this machine has recorded anything of the file yet.
    pub fn is_new(&self) -> bool {
        self.state.is_none()
    }

    /// The state as it was last written, if there is a whole one.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref().filter(|state| state.checksum.is_some())
    }

    /// Whether the last run that recorded its end left the file as it should be, or none did: then a run that finds nothing to
    /// do has nothing to record, and writes nothing.
    pub fn was_current(&self) -> bool {
        self.state.as_ref().and_then(|state| state.last_run.as_ref()).is_none_or(LastRun::left_it_current)
    }

    /// Records how the run ends. `unknown` is what else to record where nothing was ever installed.
    ///
    /// # Errors
    /// 73.
    pub fn record_run(&mut self, run: LastRun, unknown: impl FnOnce() -> State) -> Result<()> {
        let state = self.state.clone().unwrap_or_else(unknown);
        self.write(State { last_run: Some(run), ..state })
    }

    /// A payload said that the installed document is current at this index: what an older payload brings is older. Whoever
    /// wants to do the same again, runs this command, which wants this mode and owner.
    ///
    /// # Errors
    /// 73.
    pub fn record_index(&mut self, index: u64, command: Vec<String>, wanted: Wanted) -> Result<()> {
        match self.state() {
            Some(state) if state.index < index || state.command != command || state.wanted != wanted => {
                self.record(State { index: state.index.max(index), command, wanted, ..state.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Consul said that this is current, and it is installed already, by whomever, and on disk. The index may be lower than
    /// the one recorded: a snapshot was restored.
    ///
    /// # Errors
    /// 73.
    pub fn adopt(&mut self, now: State) -> Result<()> {
        let now = match self.state() {
            // The same document: what has been done for it is still done.
            Some(state) if state.checksum == now.checksum && state.is_made_as(&now) => {
                State { index: now.index, command: now.command, wanted: now.wanted, unfinished: false, ..state.clone() }
            }
            // Also if it comes from elsewhere now.
            Some(state) if state.checksum == now.checksum => State {
                time: state.time,
                handlers: state.handlers.clone(),
                owed: state.owed.clone(),
                unfinished: false,
                ..now
            },
            _ => State { unfinished: false, ..now },
        };
        let now = State { last_run: self.last_run(), ..now };
        if self.state.as_ref() == Some(&now) { Ok(()) } else { self.write(now) }
    }

    /// What is recorded is in its place, and on disk.
    ///
    /// # Errors
    /// 73.
    pub fn mark_finished(&mut self) -> Result<()> {
        match self.state() {
            Some(state) if state.unfinished => self.record(State { unfinished: false, ..state.clone() }),
            _ => Ok(()),
        }
    }

    /// What it says was to be done was not, and the file is as it was before. (If that cannot be written, it will seem
    /// unfinished: nothing worse.)
    pub fn restore(&mut self, before: Option<State>) {
        match before {
            Some(state) => drop(self.record(state)),
            None => {
                drop(self.file.set_len(0));
                self.state = None;
            }
        }
    }

    /// A handler is about to be run again: until it has succeeded, it is owed.
    ///
    /// # Errors
    /// 73.
    pub fn mark_pending(&mut self, owed: &HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        if state.owed.contains(owed) {
            return Ok(());
        }
        state.handlers.retain(|ran| ran.handler != owed.handler);
        state.owed.push(owed.clone());
        self.record(state)
    }

    /// A handler has succeeded for what is installed.
    ///
    /// # Errors
    /// 73.
    pub fn mark_done(&mut self, handler: HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        state.owed.retain(|owed| owed.handler != handler.handler);
        state.handlers.push(handler);
        self.record(state)
    }

    /// Forgets everything; says where it was. (Who waits for this lock takes one anew.)
    ///
    /// # Errors
    /// 73.
    pub fn delete(self) -> Result<PathBuf> {
        let path = self.file.path().to_owned();
        fs_err::remove_file(&path).map_err(|cause| cannot_write(&cause))?;
        Ok(path)
    }

    /// Remembers. Of the last run, what is known stays.
    ///
    /// # Errors
    /// 73.
    pub fn record(&mut self, state: State) -> Result<()> {
        self.write(State { last_run: self.last_run(), ..state })
    }

    fn last_run(&self) -> Option<LastRun> {
        self.state.as_ref().and_then(|state| state.last_run.clone())
    }

    fn write(&mut self, state: State) -> Result<()> {
        self.file.write_all_at(&format::of(&state), 0).map_err(|cause| cannot_write(&cause))?;
        self.state = Some(state);
        Ok(())
    }

    /// Puts on disk what is recorded.
    ///
    /// # Errors
    /// 73.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|cause| cannot_write(&cause))
    }
}

/// Waits for a lock that somebody has, and says once that he has; false where he has it until the deadline.
fn wait_for(
    lock: impl Fn() -> std::result::Result<(), TryLockError>,
    deadline: Deadline,
    context: &Context,
    busy: impl Fn() -> String,
) -> io::Result<bool> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    let mut told = false;
    loop {
        match lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut told, true) {
            context.progress(&busy);
        }
        if !backoff.sleep(deadline, &context.random) {
            return Ok(false);
        }
    }
}

fn open(at: &Path, directory: &StateDirectory) -> Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(open::CAREFULLY.bits());
    let opened = options.open(at).or_else(|cause| match cause.kind() {
        ErrorKind::NotFound => {
            directory.prepare()?;
            options.open(at).map_err(|cause| cannot_write(&cause))
        }
        _ => Err(cannot_write(&cause)),
    })?;
    Ok(opened)
}

/// All of a state file.
fn content(file: &mut fs_err::File, metadata: &Metadata) -> io::Result<Vec<u8>> {
    let length = metadata.len().min(LARGEST);
    let mut text = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(length).read_to_end(&mut text)?;
    Ok(text)
}
