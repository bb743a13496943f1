//! Paths of files, without access to the disk.

use std::path::{Path, PathBuf};

/// The absolute path, without resolving links. kvexpress's locks are named by it.
pub fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The path with a suffix appended to the file name.
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
