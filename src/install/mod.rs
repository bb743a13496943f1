//! Putting a verified document in the place of a file, so that a reader sees the old one or the new one, whole and with
//! its owner and mode (but for `--in-place`, which says what it gives up). Knows no network.

mod attributes;
mod copy;
mod directory;
mod due;
mod entries;
mod in_place;
mod installed;
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

/// How a file that is there is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// By another file, in one moment.
    Rename,
    /// `--in-place`: through the same file, for one that must stay the same.
    InPlace,
}

/// The canonical path of a file, by which it is recorded; as it is named, where its directory is gone.
pub fn path_of(file: &Path) -> PathBuf {
    Target::resolve(file, Parents::MustExist).map_or_else(|_| path::absolute(file), |target| target.path().to_owned())
}

/// Writes a text of ours, with this mode, as a file is replaced; never through a link, which somebody may have put there to have
/// another file written over.
///
/// # Errors
/// 73, and 75 where somebody else is just doing the same.
pub fn write_note(at: &Target, text: &str, mode: u32) -> Result<()> {
    let write = || {
        let wanted = Attributes { mode: Some(mode), ..Attributes::default() }.look_up()?;
        at.sweep()?;
        let document = Verified::ours(text.into());
        Replacement::prepare(at, &document, &wanted, None, WriteMode::Rename)?.write()?.put()?.onto_disk()
    };
    write().map_err(|error| error.of(at.path().display()))
}

/// Removes a regular file or a link, itself, in a directory that a document could be installed in; says where it was. What else has
/// that name is passed over.
///
/// # Errors
/// 73.
pub fn remove(path: &Path) -> Result<Option<PathBuf>> {
    let target = Target::itself(&path::absolute(path), Parents::MustExist)?;
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
    each_piece(file, |piece| hash.update(piece))?;
    Ok(Checksum::from_digest(hash.finalize().into()))
}

fn each_piece(file: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 8 * 1024]; // Each page of it costs more than a system call.
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => take(buffer.get(..n).unwrap_or_default()),
        }
    }
}

fn cannot(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::WouldBlock => return Status::TryAgain.error(format!("{cause}; run it again")),
        ErrorKind::PermissionDenied => {
            "; this user must be allowed to write the directory, and nobody have made it immutable"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::FileTooLarge => "; raise the limit of file sizes (ulimit -f, LimitFSIZE=)",
        ErrorKind::ExecutableFileBusy => "; it is a program that runs: end it first, or leave --in-place",
        ErrorKind::NotADirectory => "; it is in what is no directory: give -f another path",
        ErrorKind::ReadOnlyFilesystem => "; its file system must be writable",
        ErrorKind::InvalidFilename => "; use a shorter name, of 249 bytes at most: kvx adds 6",
        ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
            "; it is mounted by itself (a bind mount?) and cannot be renamed over: mount its directory instead, or write through it with --in-place"
        }
        _ => "",
    };
    Status::CannotWrite.error(format!("the file cannot be replaced: {cause}{remedy}"))
}
