//! The directories above the file.

use std::ffi::OsString;
use std::io::ErrorKind;

use super::cannot;
use super::directory::OpenDirectory;
use super::resolve::ResolvedDirectory;
use crate::error::{Result, Status};

/// Of those that are created, whatever the umask.
const MODE: u32 = 0o755;

/// Creates what is missing, each on disk before the next; and says what the last one is.
pub(super) fn make(found: &ResolvedDirectory) -> Result<(OpenDirectory, Made)> {
    let (mut here, mut made) = (found.directory.clone(), Made(Vec::new()));
    for name in &found.missing {
        let next = match here.make(name, MODE) {
            Ok(next) => {
                made.0.push((here.clone(), name.clone()));
                Ok(next)
            }
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => here.enter(name), // By another run.
            Err(cause) => Err(cause),
        };
        let next = next.map_err(|cause| {
            let path = here.path().join(name);
            Status::CannotWrite.error(format!("the directory {} cannot be created: {cause}", path.display()))
        })?;
        here.sync().map_err(|cause| cannot(&cause))?;
        here = next;
    }
    Ok((here, made))
}

/// Directories that were created, and go again unless they are needed.
#[derive(Debug)]
pub(super) struct Made(Vec<(OpenDirectory, OsString)>);

impl Made {
    /// They are needed.
    pub fn stay(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // In which somebody else has put something, he keeps.
        self.0.iter().rev().for_each(|(above, name)| drop(above.remove_directory(name)));
    }
}
