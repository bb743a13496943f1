//! The one way to open what stands in a directory that other users may write: no link is followed, no device is touched, no FIFO
//! or lease is waited for, and no terminal becomes ours.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

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

/// Whether nothing is in an open directory. One that was just made has nothing: another, with something in it, may have been put
/// in its place before it was opened, and what is done to the new one must not be done to that.
///
/// # Errors
/// The system's own.
pub fn is_empty(directory: impl AsFd) -> io::Result<bool> {
    let mut entries = Dir::openat(directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in entries.iter() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
