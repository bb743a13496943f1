//! Paths of files, without access to them.

use std::path::{Path, PathBuf};

use crate::error::{Result, Status};

/// The absolute path, without resolving links. kvexpress's locks are named by it.
///
/// # Errors
/// 73 if the path is relative, and the working directory no longer exists or cannot be determined.
pub fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).map_err(|cause| {
        Status::CannotWrite.error(format!(
            "the path {} cannot be made absolute: the working directory: {cause}; give the whole path",
            file.display()
        ))
    })
}

/// The path with a suffix appended to the file name.
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
