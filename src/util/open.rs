//! Opens files in directories that other users can write to. It follows no link, waits for no FIFO or lease, and does
//! not acquire a controlling terminal. All such files are opened by this module.

use std::io;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use nix::fcntl::OFlag;

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
