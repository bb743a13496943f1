//! Opens files in directories that other users can write to. It follows no link, waits for no FIFO or lease, and does
//! not acquire a controlling terminal. All such files are opened by this module.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// The flags for every file that another user may have created.
pub const CAREFULLY: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Opens a regular file for reading.
///
/// # Errors
/// The file does not exist, is a link or not a regular file, or the system's error.
pub fn regular(path: &Path) -> io::Result<File> {
    regular_with(OpenOptions::new().read(true), path)
}

/// Opens a regular file with these options, which may create it.
///
/// # Errors
/// Those of [`regular`].
pub fn regular_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(CAREFULLY.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is not a regular file", path.display()))),
    }
}

/// Whether an open directory is empty. A new directory is: if it has entries, another user has replaced it before it
/// was opened, and it must not be changed.
///
/// # Errors
/// The system's error.
pub fn is_empty(directory: impl AsFd) -> io::Result<bool> {
    let mut entries = Dir::openat(directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in entries.iter() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
