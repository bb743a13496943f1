//! The temporary file beside the target. Its name is fixed, so that a killed run's is found again; so it has a lock of its
//! own, for runs that do not share a state directory: nobody takes away, or renames, what another is writing.

use std::fs::{Metadata, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use super::attributes::{Has, Wanted, give_mode, give_owner};
use super::{Installed, hash, labels};
use crate::document::Verified;

/// A temporary file of ours: gone when this is dropped, unless it was put in its place.
#[derive(Debug)]
pub(super) struct Staged {
    file: fs_err::File,
    path: PathBuf,
}

impl Staged {
    /// A new one, empty, that only this user may read.
    pub fn new(path: PathBuf) -> io::Result<Staged> {
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = match options.open(&path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                sweep(&path)?;
                options.open(&path)?
            }
            other => other?,
        };
        let staged = Staged { file, path };
        lock(&staged.file, ANOTHER_RUN)?;
        if staged.is_there() { Ok(staged) } else { Err(busy(ANOTHER_RUN)) }
    }

    /// Writes the document.
    pub fn write(&mut self, document: &Verified) -> io::Result<()> {
        self.file.write_all(document.bytes())
    }

    /// Writes the document, with its owner, labels and mode, onto the disk.
    pub fn fill(&mut self, document: &Verified, wanted: &Wanted, old: Option<&Installed>) -> io::Result<()> {
        self.write(document)?;
        give_owner(&self.file, wanted, old.map(|old| &old.has))?;
        if let Some(old) = old {
            labels::keep(&old.file, &self.file)?;
        }
        give_mode(&self.file, wanted, old.map(|old| &old.has))?;
        self.file.sync_all()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its owner and mode.
    pub fn has(&self) -> io::Result<Has> {
        Ok(Has::of(&self.file.metadata()?))
    }

    /// Whether it is still there, and is still this document.
    pub fn is_still(&mut self, document: &Verified) -> io::Result<bool> {
        self.file.rewind()?;
        Ok(self.is_there() && hash(&mut self.file)? == document.checksum())
    }

    /// Puts it in its place.
    pub fn rename(self, target: &Path) -> io::Result<()> {
        if self.is_there() {
            fs_err::rename(&self.path, target)
        } else {
            Err(busy("somebody has taken the temporary file away, or the directory"))
        }
    }

    fn is_there(&self) -> bool {
        is_at(&self.file, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.is_there() {
            drop(fs_err::remove_file(&self.path));
        }
    }
}

/// Takes away what a killed run left; whether there was anything.
pub(super) fn sweep(path: &Path) -> io::Result<bool> {
    match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        // Somebody's link, which is not followed, a FIFO or a socket: none of ours, and nobody writes into it.
        Ok(_) => return fs_err::remove_file(path).map(|()| true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(cause),
    }
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = match options.open(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false), // Whoever's it was has taken it away.
        // It had its mode already, which does not let us read it.
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            let nofollow = FchmodatFlags::NoFollowSymlink;
            fchmodat(AT_FDCWD, path, Mode::S_IRUSR | Mode::S_IWUSR, nofollow).map_err(|_| cause)?;
            options.open(path)?
        }
        file => file?,
    };
    lock(&file, ANOTHER_RUN)?;
    if is_at(&file, path) { fs_err::remove_file(path).map(|()| true) } else { Err(busy(ANOTHER_RUN)) }
}

/// Somebody else is just installing the file.
const ANOTHER_RUN: &str = "another run, with another state directory, is just installing it";

/// Has a file for ourselves; `taken` says why not.
pub(super) fn lock(file: &fs_err::File, taken: &'static str) -> io::Result<()> {
    file.file().try_lock().map_err(|cause| match cause {
        TryLockError::WouldBlock => busy(taken),
        TryLockError::Error(cause) => cause,
    })
}

/// Somebody else was faster: it may be tried again. Told apart by its kind.
pub(super) fn busy(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::WouldBlock, why)
}

fn is_at(file: &fs_err::File, path: &Path) -> bool {
    match (file.metadata(), fs_err::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => is_same(&ours, &there),
        _ => false,
    }
}

/// Whether these are of one file, whatever its names.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
