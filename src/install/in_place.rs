//! `--in-place`: through the file that is there, for a file that must stay the same (mounted by itself, or held open).
//! A reader may see a mixture of both, and whoever dies halfway leaves one: it is found and mended by the next run.

use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use super::attributes::{Has, Wanted, give_mode, give_owner};
use super::{Installed, hash};
use crate::document::Verified;
use crate::error::{Error, Status};

/// Writes the document into the file, and reads it again.
pub(super) fn write(path: &Path, document: &Verified, wanted: &Wanted, old: &Installed) -> io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let mut file = options.open(path)?;
    let (is, was) = (file.metadata()?, old.file.metadata()?);
    if (is.dev(), is.ino()) != (was.dev(), was.ino()) {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "somebody has just put another file there"));
    }
    make_room(&file, document.bytes().len())?;
    written(&mut file, document).map_err(|cause| {
        io::Error::new(cause.kind(), format!("{cause}; what is there now may be half of it, and the next run mends it"))
    })?;
    give_owner(&file, wanted, Some(&old.has))?;
    give_mode(&file, wanted, Some(&Has::of(&was)))?; // Writing takes setuid bits away.
    file.sync_all()
}

/// A full disk is noticed before anything is harmed, where the file system can promise room.
fn make_room(file: &fs_err::File, size: usize) -> io::Result<()> {
    let Some(size) = i64::try_from(size).ok().filter(|size| *size > 0) else { return Ok(()) };
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, size) {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn written(file: &mut fs_err::File, document: &Verified) -> io::Result<()> {
    file.write_all(document.bytes())?;
    file.set_len(u64::try_from(document.bytes().len()).unwrap_or(u64::MAX))?;
    file.rewind()?;
    if hash(file)? == document.checksum() {
        Ok(())
    } else {
        Err(io::Error::other("what was written is not what can be read; does somebody else write it?"))
    }
}

pub(super) fn cannot(cause: &io::Error) -> Error {
    let status = match cause.kind() {
        io::ErrorKind::WouldBlock => Status::TryAgain,
        _ => Status::CannotWrite,
    };
    status.error(format!("the file cannot be written in place: {cause}"))
}
