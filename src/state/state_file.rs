//! The state file of one file, open and locked: what is recorded is read and written through it.

use std::io::{self};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::os::unix::fs::FileExt as _;

use super::access::{content, open, wait_for};
use super::directory::{cannot_write, is_ours};
use super::format;
use super::record::State;
use super::{HandlerRecord, LastRun, StateDirectory};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::install::Wanted;
use crate::process::signals;
use crate::util::path;
use crate::util::time::Deadline;

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
        signals::block_job_control();
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
            let is_ours = is_ours(&metadata);
            match () {
                // Taken away before we had its lock, which then is worth nothing.
                () if metadata.nlink() == 0 => {}
                // In a directory of our own: from other times, or by an administrator's hand. It counts as lost.
                () if !is_ours && !std::mem::replace(&mut is_anew, true) => {
                    fs_err::remove_file(&at).map_err(|cause| cannot_write(&cause))?;
                }
                () if !is_ours => {
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

    /// Where the copy is that a check is shown, if other users can change the file's directory, or one above it. No other user can
    /// change the state directory or one above it. The name says whose copy it is, so that it is found again if this run is killed.
    pub fn place_of_copy(&self) -> PathBuf {
        path::with(self.file.path(), ".check")
    }

    /// Removes the copy that a killed run has left.
    pub fn sweep_copy(&self) {
        drop(fs_err::remove_dir_all(self.place_of_copy())); // Usually there is none; and a new one can only be made where none is.
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
                pending: state.pending.clone(),
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

    /// A handler is about to be run again: until it has succeeded, it is pending.
    ///
    /// # Errors
    /// 73.
    pub fn mark_pending(&mut self, pending: &HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        if state.pending.contains(pending) {
            return Ok(());
        }
        state.handlers.retain(|ran| ran.handler != pending.handler);
        state.pending.push(pending.clone());
        self.record(state)
    }

    /// A handler has succeeded for what is installed.
    ///
    /// # Errors
    /// 73.
    pub fn mark_done(&mut self, handler: HandlerRecord) -> Result<()> {
        let Some(mut state) = self.state().cloned() else { return Ok(()) };
        state.pending.retain(|pending| pending.handler != handler.handler);
        state.handlers.push(handler);
        self.record(state)
    }

    /// Forgets everything; says where it was. (Who waits for this lock takes one anew.)
    ///
    /// # Errors
    /// 73.
    pub fn delete(self) -> Result<PathBuf> {
        self.sweep_copy();
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
