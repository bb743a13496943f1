//! Looking at what is recorded, without changing it and, but for a moment, without keeping anybody waiting.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io::{ErrorKind, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{content, wait_for};
use super::directory::{StateDirectory, is_ours};
use super::format;
use super::record::State;
use crate::context::Context;
use crate::error::{Error, Result, Status};
use crate::process::signals;
use crate::util::open;
use crate::util::time::Deadline;

/// While a state is being written over, what is read may be a mixture; for microseconds.
const TRIES: usize = 20;

/// What is recorded of one file.
#[derive(Clone, Debug)]
pub struct RecordedState {
    /// The state as it was last written.
    pub state: State,
    /// Whether a run is at it now.
    pub is_busy: bool,
    /// Whether no other user can have written it: only then may what it says be believed, and done in this user's name.
    pub is_ours: bool,
}

impl RecordedState {
    /// The command line that installed the file; empty where it is not known, or someone else may have written it.
    pub fn command(&self) -> &[String] {
        if self.is_ours { &self.state.command } else { &[] }
    }
}

/// What is recorded of the file at `path` (canonical), if anything.
///
/// # Errors
/// 74 where it cannot be read.
pub fn read(directory: &StateDirectory, path: &Path) -> Result<Option<RecordedState>> {
    look(&directory.file_of(path), directory)
}

/// Whether there is anything of the file at `path` (canonical): also of a run that has not recorded anything yet.
///
/// # Errors
/// 74 where that cannot be known.
pub fn is_there(directory: &StateDirectory, path: &Path) -> Result<bool> {
    match fs_err::symlink_metadata(directory.file_of(path)) {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// What is recorded of all files of this machine, by their paths. What is none of ours does not matter.
///
/// # Errors
/// 74 where the directory, or a state in it, cannot be read.
pub fn all(directory: &StateDirectory) -> Result<Vec<RecordedState>> {
    let entries = match fs_err::read_dir(directory.path()) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|cause| cannot(&cause))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| cannot(&cause))?;
        if is_a_stamps(&entry.file_name()) && entry.file_type().is_ok_and(|is| is.is_file()) {
            all.extend(look(&entry.path(), directory)?);
        }
    }
    all.sort_by(|a, b| a.state.path.cmp(&b.state.path));
    Ok(all)
}

/// Waits for a run that is at the file at `path` (canonical) to end; one that begins later is not waited for.
///
/// # Errors
/// 75 where it does not end by the deadline, 74.
pub fn wait_for_runs(directory: &StateDirectory, path: &Path, deadline: Deadline, context: &Context) -> Result<()> {
    signals::block_job_control();
    let Some(file) = open(&directory.file_of(path))? else { return Ok(()) };
    if !is_believed(&file, directory)? {
        return Ok(()); // No run takes a lock that others can hold.
    }
    let busy = || format!("{}: a run is busy with it; waiting for its end", path.display());
    match wait_for(|| file.file().try_lock_shared(), deadline, context, busy) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Status::TryAgain
            .error(format!("a run has been busy with the file for {}", humantime::format_duration(deadline.limit())))),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// As [`StateDirectory::file_of`] makes it.
fn is_a_stamps(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn look(at: &Path, directory: &StateDirectory) -> Result<Option<RecordedState>> {
    let Some(mut file) = open(at)? else { return Ok(None) };
    // Where nobody is, the lock is held while it is read: no run that begins meanwhile writes over it.
    signals::block_job_control();
    let is_busy = matches!(file.file().try_lock_shared(), Err(TryLockError::WouldBlock));
    let is_ours = is_believed(&file, directory)?;
    for _ in 0..TRIES {
        let metadata = file.metadata().map_err(|cause| cannot(&cause))?;
        let read = file.rewind().and_then(|()| content(&mut file, &metadata));
        if let Some(state) = format::read(&read.map_err(|cause| cannot(&cause))?) {
            // A copy of another's says nothing of this one, nor what another machine has written.
            return Ok(is_of(&state, at, directory).then_some(RecordedState { state, is_busy, is_ours }));
        }
        if !is_busy {
            break; // Nothing is known: no run has ended well, or a power loss has come.
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

fn is_believed(file: &fs_err::File, directory: &StateDirectory) -> Result<bool> {
    Ok(is_ours(&file.metadata().map_err(|cause| cannot(&cause))?) && directory.assert_private().is_ok())
}

/// Of a path that is not UTF-8, the state does not have every byte.
fn is_of(state: &State, at: &Path, directory: &StateDirectory) -> bool {
    state.path.contains(char::REPLACEMENT_CHARACTER) || at == directory.file_of(Path::new(&state.path))
}

/// None where there is nothing, or nothing that a run could have written.
fn open(at: &Path) -> Result<Option<fs_err::File>> {
    match open::regular(at) {
        Ok(file) => Ok(Some(file)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::Other) => Ok(None),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// The canonical path of the file to which `named` (absolute) led last, as far as that is recorded.
///
/// # Errors
/// 74 where the directory cannot be read.
pub fn path_of(directory: &StateDirectory, named: &Path) -> Result<Option<PathBuf>> {
    let all = all(directory)?.into_iter().filter(|one| one.is_ours && one.state.locked_as() == named);
    Ok(all.max_by_key(|one| one.state.time).map(|one| one.state.path.into()))
}

/// Takes away what is recorded of the files to which `named` (absolute) once led, by a link that leads elsewhere now, where even
/// their directories are gone, or nothing was ever installed: nobody will ask for them again.
///
/// # Errors
/// 74 where the directory cannot be read.
pub fn sweep_abandoned(directory: &StateDirectory, named: &Path, now: &Path) -> Result<()> {
    for one in all(directory)?.iter().filter(|one| one.is_ours && !one.is_busy) {
        let path = Path::new(&one.state.path);
        let is_abandoned = one.state.locked_as() == named && path != now;
        let is_of_nothing = one.state.checksum.is_none() || path.parent().is_some_and(|above| !above.exists());
        if is_abandoned && is_of_nothing {
            drop(fs_err::remove_file(directory.file_of(path)));
        }
    }
    Ok(())
}

fn cannot(cause: &std::io::Error) -> Error {
    Status::CannotRead.error(format!(
        "what is recorded of files cannot be read: {cause}; run as the user who runs kvx-out, or give --state-dir"
    ))
}
