//! Replaces a file with a verified document. A reader sees either the old or the new file, complete and with its owner
//! and mode (except with `--in-place`, see its help). No network.

mod attributes;
mod copy;
mod directory;
mod entries;
mod in_place;
mod installed;
mod link;
mod new_attributes;
mod parents;
mod replacement;
mod resolve;
mod target;
mod temporary;
mod xattrs;

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use nix::sys::stat::SFlag;
use sha2::{Digest, Sha256};

pub use self::attributes::{Attributes, Wanted};
pub(crate) use self::directory::{OpenDirectory, failed};
pub use self::installed::Installed;
pub use self::replacement::{Placed, Replacement, Written};
pub use self::resolve::Parents;
pub use self::target::Target;
use crate::document::{Checksum, Verified};
use crate::error::{Error, Result, Status};
use crate::util::path;

/// How an existing file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Atomically, by a new file.
    Rename,
    /// `--in-place`: write through the existing file, which keeps its inode.
    InPlace,
}

/// The canonical path of a file, which names it in the state. If its directory does not exist: the given path, made
/// absolute.
///
/// # Errors
/// 73 if that path is relative, and there is no working directory.
pub fn path_of(file: &Path) -> Result<PathBuf> {
    Target::resolve(file, Parents::MustExist)
        .map_or_else(|_| path::absolute(file), |target| Ok(target.path().to_owned()))
}

/// Writes a text of kvx's own, with this mode, by replacing the file. It never writes through a link, which another
/// user may have created to have another file overwritten.
///
/// # Errors
/// 73; 75 if another run is writing the same file.
pub(crate) fn write_note(target: &Target, text: &str, mode: u32) -> Result<()> {
    let write = || {
        let wanted = Attributes { mode: Some(mode), ..Attributes::default() }.look_up()?;
        target.sweep()?;
        let document = Verified::ours(text.into());
        Replacement::prepare(target, &document, &wanted, None, WriteMode::Rename)?.write()?.install()?.sync()
    };
    write().map_err(|error| error.of(target.path().display()))
}

/// Removes a regular file, or a link itself, and returns its path. Entries of other types are left alone.
///
/// # Errors
/// 73.
pub(crate) fn remove(path: &Path) -> Result<Option<PathBuf>> {
    let target = Target::without_following(&path::absolute(path)?, Parents::MustExist)?;
    let Some(directory) = target.directory()? else { return Ok(None) };
    let removed = directory.kind_of(target.name()).and_then(|kind| match kind {
        Some(SFlag::S_IFREG | SFlag::S_IFLNK) => directory.remove(target.name()).map(|()| Some(path.to_owned())),
        _ => Ok(None),
    });
    match removed {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Status::CannotWrite.error(format!("{cause}; run as a user who may remove it"))),
        removed => Ok(removed.unwrap_or_default()),
    }
}

fn hash(file: &mut impl Read) -> io::Result<Checksum> {
    let mut hash = Sha256::new();
    for_each_chunk(file, |chunk| hash.update(chunk))?;
    Ok(Checksum::from_digest(hash.finalize().into()))
}

fn for_each_chunk(file: &mut impl Read, mut consume: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 8 * 1024]; // Small: each page of a larger buffer costs more than a system call.
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => consume(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn cannot_replace(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::WouldBlock => return Status::TryAgain.error(format!("{cause}; run it again")),
        ErrorKind::PermissionDenied => {
            "; this user must be allowed to write the directory, and it must not be immutable (see lsattr)"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::FileTooLarge => "; raise the limit of file sizes (ulimit -f, LimitFSIZE=)",
        ErrorKind::ExecutableFileBusy => "; it is a program that runs: end it first, or leave out --in-place",
        ErrorKind::NotADirectory => "; part of its path is not a directory: give -f another path",
        ErrorKind::ReadOnlyFilesystem => "; its file system must be writable",
        ErrorKind::InvalidFilename => "; use a shorter name, of 249 bytes at most: kvx adds 6",
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
            "; it is mounted by itself (a bind mount?) and cannot be renamed over: mount its directory instead, or write through it with --in-place"
        }
        _ => "",
    };
    Status::CannotWrite.error(format!("the file cannot be replaced: {cause}{remedy}"))
}

/// The file is installed, but the sync failed.
fn not_durable(cause: &io::Error) -> Error {
    Status::CannotWrite.error(format!(
        "the file is in place, but may not survive a power loss: {cause}; look at the disk, and run it again"
    ))
}
