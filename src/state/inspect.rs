//! Reading recorded states without changing them. A shared lock is held for a moment at most, so runs are hardly
//! delayed.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io::{ErrorKind, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{Acquired, content, wait_for};
use super::directory::{StateDirectory, is_trusted};
use super::format;
use super::record::State;
use crate::context::Context;
use crate::error::{Error, Result, Status};
use crate::process::signals;
use crate::util::open;
use crate::util::time::Deadline;

/// The number of attempts to read a state that a run is overwriting. It is a mixture of two states for microseconds.
const READ_ATTEMPTS: usize = 20;

/// The recorded state of one file, and what the state file says about it.
#[derive(Clone, Debug)]
pub struct RecordedState {
    /// The state as it was last written.
    pub state: State,
    /// Whether a run is working on the file now.
    pub is_busy: bool,
    /// Whether no other user can have written the state. Only then can kvx trust it and run its command line as this
    /// user.
    pub is_trusted: bool,
}

impl RecordedState {
    /// The command line that installed the file; empty if it is not recorded, or if another user may have written it.
    pub fn command(&self) -> &[String] {
        if self.is_trusted { &self.state.command } else { &[] }
    }
}

/// The recorded state of the file at `path` (canonical), if there is one.
///
/// # Errors
/// 74 if the state file cannot be read.
pub fn read(directory: &StateDirectory, path: &Path) -> Result<Option<RecordedState>> {
    read_file(&directory.file_of(path), directory)
}

/// Whether the file at `path` (canonical) has a state file, even an empty one: a run may not have recorded a state yet.
///
/// # Errors
/// 74 if that cannot be determined.
pub fn exists(directory: &StateDirectory, path: &Path) -> Result<bool> {
    match fs_err::symlink_metadata(directory.file_of(path)) {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// The recorded states of all files of this machine, sorted by path. Files in the directory that are not state files
/// are ignored.
///
/// # Errors
/// 74 if the directory, or a state file in it, cannot be read.
pub fn all(directory: &StateDirectory) -> Result<Vec<RecordedState>> {
    let entries = match fs_err::read_dir(directory.path()) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|cause| cannot(&cause))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| cannot(&cause))?;
        if is_state_file_name(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            all.extend(read_file(&entry.path(), directory)?);
        }
    }
    all.sort_by(|a, b| a.state.path.cmp(&b.state.path));
    Ok(all)
}

/// Waits until the run that is working on the file at `path` (canonical) ends. Runs that begin later are not waited
/// for.
///
/// # Errors
/// 75 if the run does not end by the deadline; 74 if the state file cannot be read.
pub fn wait_for_runs(directory: &StateDirectory, path: &Path, deadline: Deadline, context: &Context) -> Result<()> {
    signals::block_job_control();
    let Some(file) = open(&directory.file_of(path))? else { return Ok(()) };
    if !is_file_trusted(&file, directory)? {
        return Ok(()); // Runs do not use a lock that another user can hold.
    }
    let busy = || format!("{}: a run is busy with it; waiting for it to end", path.display());
    match wait_for(|| file.file().try_lock_shared(), deadline, context, busy) {
        Ok(Acquired::AtOnce | Acquired::AfterWait) => Ok(()),
        Ok(Acquired::Never) => Err(Status::TryAgain
            .error(format!("a run has been busy with the file for {}", humantime::format_duration(deadline.limit())))),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// Whether the name is one that [`StateDirectory::file_of`] makes.
fn is_state_file_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn read_file(at: &Path, directory: &StateDirectory) -> Result<Option<RecordedState>> {
    let Some(mut file) = open(at)? else { return Ok(None) };
    // If no run is working on the file, this lock keeps a run that begins now from overwriting the state while it is
    // read.
    signals::block_job_control();
    let is_busy = matches!(file.file().try_lock_shared(), Err(TryLockError::WouldBlock));
    let is_trusted = is_file_trusted(&file, directory)?;
    for _ in 0..READ_ATTEMPTS {
        let metadata = file.metadata().map_err(|cause| cannot(&cause))?;
        let read = file.rewind().and_then(|()| content(&mut file, &metadata));
        if let Some(state) = format::parse(&read.map_err(|cause| cannot(&cause))?) {
            // A state file that was copied, or that another machine wrote, says nothing about this file.
            return Ok(is_in_its_file(&state, at, directory).then_some(RecordedState { state, is_busy, is_trusted }));
        }
        if !is_busy {
            break; // No state: no run has recorded one yet, or a power loss damaged it.
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

fn is_file_trusted(file: &fs_err::File, directory: &StateDirectory) -> Result<bool> {
    Ok(is_trusted(&file.metadata().map_err(|cause| cannot(&cause))?) && directory.assert_private().is_ok())
}

/// Whether the state is in the state file of its path. The state of a path that is not UTF-8 lacks some bytes of it, so
/// it cannot be checked.
fn is_in_its_file(state: &State, at: &Path, directory: &StateDirectory) -> bool {
    state.path.contains(char::REPLACEMENT_CHARACTER) || at == directory.file_of(Path::new(&state.path))
}

/// Opens a state file; none if it does not exist, or if it is not a regular file.
fn open(at: &Path) -> Result<Option<fs_err::File>> {
    match open::regular(at) {
        Ok(file) => Ok(Some(file)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::Other) => Ok(None),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// The canonical path that `named` (absolute) had when a run last installed it, if that is recorded.
///
/// # Errors
/// 74 if the directory cannot be read.
pub fn path_of(directory: &StateDirectory, named: &Path) -> Result<Option<PathBuf>> {
    let all = all(directory)?.into_iter().filter(|one| one.is_trusted && one.state.locked_as() == named);
    Ok(all.max_by_key(|one| one.state.time).map(|one| one.state.path.into()))
}

/// Removes states that no run will use again. `named` (absolute) is a link that now leads to `now`; the states are
/// those of the files that it led to before, if their directories no longer exist or if nothing was ever installed
/// there.
///
/// # Errors
/// 74 if the directory cannot be read.
pub fn sweep_abandoned(directory: &StateDirectory, named: &Path, now: &Path) -> Result<()> {
    for one in all(directory)?.iter().filter(|one| one.is_trusted && !one.is_busy) {
        let path = Path::new(&one.state.path);
        let is_abandoned = one.state.locked_as() == named && path != now;
        let is_useless = one.state.checksum.is_none() || path.parent().is_some_and(|above| !above.exists());
        if is_abandoned && is_useless {
            drop(fs_err::remove_file(directory.file_of(path)));
        }
    }
    Ok(())
}

fn cannot(cause: &std::io::Error) -> Error {
    Status::CannotRead.error(format!(
        "the recorded state cannot be read: {cause}; run as the user that runs kvx-out, or give --state-dir"
    ))
}
