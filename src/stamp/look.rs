//! Looking at what is remembered, without changing it and, but for a moment, without keeping anybody waiting.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::{LARGEST, Stamp, name_of, text, wait_for};
use crate::error::{Error, Result, Status};
use crate::time::Deadline;
use crate::world::World;

/// While a stamp is being written over, what is read may be a mixture; for microseconds.
const TRIES: usize = 20;

/// What is remembered of one file.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The stamp as it was last written.
    pub stamp: Stamp,
    /// Whether a run is at it now.
    pub is_busy: bool,
    /// Whether only this user can have written it: what it says may be done in his name.
    pub is_ours: bool,
}

/// What is remembered of the file at `path` (canonical), if anything.
///
/// # Errors
/// 74 where it cannot be read.
pub fn read(directory: &Path, path: &Path) -> Result<Option<Remembered>> {
    look(&directory.join(name_of(path)))
}

/// Whether there is anything of the file at `path` (canonical): also of a run that has not remembered anything yet.
///
/// # Errors
/// 74 where that cannot be known.
pub fn is_there(directory: &Path, path: &Path) -> Result<bool> {
    match fs_err::symlink_metadata(directory.join(name_of(path))) {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// What is remembered of all files, by their paths. What is none of ours does not matter.
///
/// # Errors
/// 74 where the directory, or a stamp in it, cannot be read.
pub fn all(directory: &Path) -> Result<Vec<Remembered>> {
    let entries = match fs_err::read_dir(directory) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|cause| cannot(&cause))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| cannot(&cause))?;
        if is_a_stamps(&entry.file_name()) && entry.file_type().is_ok_and(|is| is.is_file()) {
            all.extend(look(&entry.path())?);
        }
    }
    all.sort_by(|a, b| a.stamp.path.cmp(&b.stamp.path));
    Ok(all)
}

/// Waits for a run that is at the file at `path` (canonical) to end; one that begins later is not waited for.
///
/// # Errors
/// 75 where it does not end by the deadline, 74.
pub fn wait_for_runs(directory: &Path, path: &Path, deadline: Deadline, world: &World) -> Result<()> {
    let Some(file) = open(&directory.join(name_of(path)))? else { return Ok(()) };
    let busy = || format!("{}: a run is busy with it; waiting for its end", path.display());
    match wait_for(|| file.file().try_lock_shared(), deadline, world, busy) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Status::TryAgain
            .error(format!("a run has been busy with the file for {}", humantime::format_duration(deadline.limit())))),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// As [`name_of`] makes it.
fn is_a_stamps(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn look(at: &Path) -> Result<Option<Remembered>> {
    let Some(mut file) = open(at)? else { return Ok(None) };
    let metadata = file.metadata().map_err(|cause| cannot(&cause))?;
    if !metadata.is_file() {
        return Ok(None);
    }
    // Where nobody is, the lock is held while it is read: no run that begins meanwhile writes over it.
    let is_busy = matches!(file.file().try_lock_shared(), Err(TryLockError::WouldBlock));
    let is_ours = metadata.uid() == geteuid().as_raw() && metadata.permissions().mode() & 0o022 == 0;
    for _ in 0..TRIES {
        let mut text = Vec::new();
        let read = file.rewind().and_then(|()| (&mut file).take(LARGEST).read_to_end(&mut text));
        read.map_err(|cause| cannot(&cause))?;
        if let Some(stamp) = text::read(&text) {
            // A copy of another's says nothing of this one.
            return Ok(is_of(&stamp, at).then_some(Remembered { stamp, is_busy, is_ours }));
        }
        if !is_busy {
            break; // Nothing is known: no run has ended well, or a power loss has come.
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

/// Of a path that is not UTF-8, the stamp does not have every byte.
fn is_of(stamp: &Stamp, at: &Path) -> bool {
    stamp.path.contains(char::REPLACEMENT_CHARACTER)
        || at.file_name() == Some(OsStr::new(&name_of(Path::new(&stamp.path))))
}

fn open(at: &Path) -> Result<Option<fs_err::File>> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    match options.open(at) {
        Ok(file) => Ok(Some(file)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cannot(&cause)),
    }
}

fn cannot(cause: &std::io::Error) -> Error {
    Status::CannotRead.error(format!(
        "what is remembered of files cannot be read: {cause}; run as the user who runs kvx-out, or give --state-dir"
    ))
}
