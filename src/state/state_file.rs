//! An open and locked state file. The state is read and written through it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::os::unix::fs::FileExt as _;

use super::access::{Acquired, content, open, wait_for};
use super::directory::{cannot_write, is_trusted};
use super::format;
use super::record::State;
use super::{HandlerRecord, LastRun, StateDirectory};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::install::Wanted;
use crate::process::signals;
use crate::util::path;
use crate::util::time::Deadline;

/// The state file of one installed file, with its lock held.
#[derive(Debug)]
pub struct StateFile {
    file: fs_err::File,
    /// The state as it was last written, if its checksum matches. It may be without a document, with only `last_run`.
    state: Option<State>,
    /// How long the lock was waited for. `None` if it was free at once.
    waited: Option<Duration>,
}

impl StateFile {
    /// Opens and locks the state file of the file at `path` (canonical), and waits for the lock until `deadline`. The
    /// lock is held until this value is dropped.
    ///
    /// # Errors
    /// 73 if the state directory cannot be written, or if other users can write it; 75 if another run holds the lock
    /// until the deadline.
    pub fn open(directory: &StateDirectory, path: &Path, deadline: Deadline, context: &Context) -> Result<StateFile> {
        signals::block_job_control();
        let at = directory.file_of(path);
        match directory.path().symlink_metadata() {
            Ok(_) => directory.assert_private()?,
            Err(_) => directory.prepare()?,
        }
        let (mut is_recreated, mut was_busy) = (false, false);
        let (mut file, metadata) = loop {
            let file = open(&at, directory)?;
            let busy = || format!("{}: another run is busy with it; waiting", path.display());
            let acquired = wait_for(|| file.file().try_lock(), deadline, context, busy);
            match acquired.map_err(|cause| cannot_write(&cause))? {
                Acquired::AtOnce => {}
                Acquired::AfterWait => was_busy = true,
                Acquired::Never => {
                    return Err(Status::TryAgain.error(format!(
                        "another run has been busy with the file for {}; try again once it has ended",
                        humantime::format_duration(deadline.limit())
                    )));
                }
            }
            let metadata = file.metadata().map_err(|cause| cannot_write(&cause))?;
            let is_trusted = is_trusted(&metadata);
            match () {
                // Another run removed the file before this run had its lock, so the lock protects nothing.
                () if metadata.nlink() == 0 => was_busy = true,
                // A file of another user, though the directory belongs to this user: it is old, or an administrator put
                // it there. It counts as lost.
                () if !is_trusted && !std::mem::replace(&mut is_recreated, true) => {
                    fs_err::remove_file(&at).map_err(|cause| cannot_write(&cause))?;
                }
                () if !is_trusted => {
                    return Err(cannot_write(&io::Error::other(format!(
                        "{} does not belong to this user, though it was just created (NFS with root_squash?)",
                        at.display()
                    ))));
                }
                () => break (file, metadata),
            }
        };
        let state = format::parse(&content(&mut file, &metadata).map_err(|cause| cannot_write(&cause))?);
        Ok(StateFile { state, file, waited: was_busy.then(|| deadline.elapsed()) })
    }

    /// Where the copy is that a check is shown, if other users can change the file's directory, or one above it. No other user can
    /// change the state directory or one above it. The name says whose copy it is, so that it is found again if this run is killed.
    pub fn place_of_copy(&self) -> PathBuf {
        path::with_suffix(self.file.path(), ".check")
    }

    /// Removes the copy that a killed run has left.
    pub fn sweep_copy(&self) {
        drop(fs_err::remove_dir_all(self.place_of_copy())); // Usually there is none; and a new one can only be made where none is.
    }

    /// How long another run was waited for. `None` if there was none.
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Whether no run on this machine has recorded a state of the file yet.
    pub fn is_new(&self) -> bool {
        self.state.is_none()
    }

    /// The recorded state, if it has a document.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref().filter(|state| state.checksum.is_some())
    }

    /// Whether the last recorded run left the file up to date, or no run is recorded. Then a run that has nothing to do
    /// has nothing to record either.
    pub fn was_current(&self) -> bool {
        self.state.as_ref().and_then(|state| state.last_run.as_ref()).is_none_or(LastRun::left_it_current)
    }

    /// Records how the run ends. `unknown` makes the rest of the state if no state is recorded yet.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn record_run(&mut self, run: LastRun, unknown: impl FnOnce() -> State) -> Result<()> {
        let state = self.state.clone().unwrap_or_else(unknown);
        self.write(State { last_run: Some(run), ..state })
    }

    /// Records that the installed document is current at this index, so that a document of an older payload is
    /// recognised as older. Also records the command line, and the mode and owner that it demands.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn record_index(&mut self, index: u64, command: Vec<String>, wanted: Wanted) -> Result<()> {
        match self.state() {
            Some(state) if state.index < index || state.command != command || state.wanted != wanted => {
                self.record(State { index: state.index.max(index), command, wanted, ..state.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Records a document that is current in Consul and that is already installed and on disk, whichever program
    /// installed it. Its index may be lower than the recorded one: a restored snapshot of Consul lowers it.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn adopt(&mut self, now: State) -> Result<()> {
        let now = match self.state() {
            // The same document from the same key: its handlers have still run.
            Some(state) if state.checksum == now.checksum && state.has_same_source(&now) => {
                State { index: now.index, command: now.command, wanted: now.wanted, unfinished: false, ..state.clone() }
            }
            // The same document from another key: the handlers have run as well.
            Some(state) if state.checksum == now.checksum => State {
                time: state.time,
                handlers: state.handlers.clone(),
                pending: state.pending.clone(),
                unfinished: false,
                ..now
            },
            _ => State { unfinished: false, ..now },
        };
        let now = State { last_run: self.last_run(), ..now };
        if self.state.as_ref() == Some(&now) { Ok(()) } else { self.write(now) }
    }

    /// Records that the document is installed and on disk.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn mark_finished(&mut self) -> Result<()> {
        match self.state() {
            Some(state) if state.unfinished => self.record(State { unfinished: false, ..state.clone() }),
            _ => Ok(()),
        }
    }

    /// Restores the state from before an installation that failed and left the file unchanged. A write error is
    /// ignored: the state then says `unfinished`, and the next run repeats the installation.
    pub fn restore(&mut self, before: Option<State>) {
        match before {
            Some(state) => drop(self.record(state)),
            None => {
                drop(self.file.set_len(0));
                self.state = None;
            }
        }
    }

    /// Records a handler as pending, before it runs again.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn mark_pending(&mut self, pending: &HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        if state.pending.contains(pending) {
            return Ok(());
        }
        state.handlers.retain(|ran| ran.handler != pending.handler);
        state.pending.push(pending.clone());
        self.record(state)
    }

    /// Records that a handler succeeded for the installed document.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn mark_done(&mut self, handler: HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        state.pending.retain(|pending| pending.handler != handler.handler);
        state.handlers.push(handler);
        self.record(state)
    }

    /// Removes the state file and returns its path. A run that waits for its lock opens a new state file.
    ///
    /// # Errors
    /// 73 if the state file cannot be removed.
    pub fn delete(self) -> Result<PathBuf> {
        self.sweep_copy();
        let path = self.file.path().to_owned();
        fs_err::remove_file(&path).map_err(|cause| cannot_write(&cause))?;
        Ok(path)
    }

    /// Records this state, but keeps the recorded last run.
    ///
    /// # Errors
    /// 73 if the state file cannot be written.
    pub fn record(&mut self, state: State) -> Result<()> {
        self.write(State { last_run: self.last_run(), ..state })
    }

    fn last_run(&self) -> Option<LastRun> {
        self.state.as_ref().and_then(|state| state.last_run.clone())
    }

    fn write(&mut self, state: State) -> Result<()> {
        self.file.write_all_at(&format::serialize(&state), 0).map_err(|cause| cannot_write(&cause))?;
        self.state = Some(state);
        Ok(())
    }

    /// Writes the recorded state to disk (fdatasync).
    ///
    /// # Errors
    /// 73 if that fails.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|cause| cannot_write(&cause))
    }
}
