//! Paths of files, as they are written. Knows no disk.

use std::path::{Path, PathBuf};

/// As it is named, but from the root: what kvexpress's lock is of.
pub fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// Its neighbour: the same path with something behind it.
pub fn with(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
