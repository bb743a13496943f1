//! The temporary file beside the target. Its name is fixed, so that a killed run's is found again; so it has a lock of its
//! own, for runs that do not share a state directory: nobody takes away, or renames, what another is writing.

use std::fs::TryLockError;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;

use super::attributes::{Has, Wanted, give};
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
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = match options.open(&path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                sweep(&path)?;
                options.open(&path)?
            }
            other => other?,
        };
        let staged = Staged { file, path };
        lock(&staged.file)?;
        if staged.is_there() { Ok(staged) } else { Err(busy()) }
    }

    /// Writes the document, with its owner and mode, onto the disk.
    pub fn fill(&mut self, document: &Verified, wanted: &Wanted, old: Option<&Has>) -> io::Result<()> {
        self.file.write_all(document.bytes())?;
        give(&self.file, wanted, old)?;
        self.file.sync_all()
    }

    /// Puts it in its place.
    pub fn rename(self, target: &Path) -> io::Result<()> {
        if self.is_there() { fs_err::rename(&self.path, target) } else { Err(busy()) }
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

/// Takes away what a killed run left.
pub(super) fn sweep(path: &Path) -> io::Result<()> {
    match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        // Somebody's link, which is not followed, a FIFO or a socket: none of ours, and nobody writes into it.
        Ok(_) => return fs_err::remove_file(path),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    }
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = match options.open(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()), // Whoever's it was has taken it away.
        file => file?,
    };
    lock(&file)?;
    if is_at(&file, path) { fs_err::remove_file(path) } else { Err(busy()) }
}

fn lock(file: &fs_err::File) -> io::Result<()> {
    file.file().try_lock().map_err(|cause| match cause {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(cause) => cause,
    })
}

/// Somebody else is just installing the file: told apart by its kind.
fn busy() -> io::Error {
    io::Error::new(ErrorKind::WouldBlock, "another run, with another state directory, is just installing it")
}

fn is_at(file: &fs_err::File, path: &Path) -> bool {
    match (file.metadata(), fs_err::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
