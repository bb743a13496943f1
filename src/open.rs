//! The one way to open what stands in a directory that other users may write: no link is followed, no device is touched, no FIFO
//! or lease is waited for, and no terminal becomes ours.

use std::io;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use nix::fcntl::OFlag;

/// For every open of a file that others may have put there.
pub const CAREFULLY: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// A regular file, to be read.
///
/// # Errors
/// It is not there, is a link, or is not a regular file; or the system's own.
pub fn regular(path: &Path) -> io::Result<File> {
    regular_with(OpenOptions::new().read(true), path)
}

/// A regular file, opened with these options. What it creates is always regular.
///
/// # Errors
/// As [`regular`].
pub fn regular_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(CAREFULLY.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is not a regular file", path.display()))),
    }
}

/// A directory, to be worked in or synced.
///
/// # Errors
/// It is not there, is a link, or is not a directory; or the system's own.
pub fn directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(CAREFULLY.union(OFlag::O_DIRECTORY).bits()).open(path)
}
