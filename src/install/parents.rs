//! `--mkdir`: creates missing directories above the file.

use std::ffi::OsString;
use std::io::ErrorKind;

use super::cannot_replace;
use super::directory::{OpenDirectory, busy};
use super::resolve::ResolvedDirectory;
use crate::error::{Result, Status};

/// Mode of new directories, whatever the umask.
const MODE: u32 = 0o755;

/// Creates the missing directories, and syncs each to disk before the next. Returns the last one.
pub(super) fn create(resolved: &ResolvedDirectory) -> Result<(OpenDirectory, CreatedParents)> {
    let (mut current, mut created) = (resolved.directory.clone(), CreatedParents(Vec::new()));
    for name in &resolved.missing {
        let next = match current.create_directory(name, MODE) {
            Ok(next) => {
                created.0.push((current.clone(), name.clone()));
                Ok(next)
            }
            // The old file was looked for, and not found, before the directory existed: another user may have it put
            // there in order to have one directory looked at, and another written to.
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && may_be_from_others(&current)? => {
                return Err(cannot_replace(&busy("another process has just created its directory")));
            }
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => current.enter(name), // By another run.
            Err(cause) => Err(cause),
        };
        let next = next.map_err(|cause| {
            let path = current.path().join(name);
            Status::CannotWrite.error(format!("the directory {} cannot be created: {cause}", path.display()))
        })?;
        current.sync().map_err(|cause| cannot_replace(&cause))?;
        current = next;
    }
    Ok((current, created))
}

/// Whether another user can have put an entry there. The sticky bit does not matter: it keeps others from replacing
/// entries, not from adding some.
fn may_be_from_others(directory: &OpenDirectory) -> Result<bool> {
    Ok(!directory.is_changed_only_by_us().map_err(|cause| cannot_replace(&cause))?)
}

/// Directories that this run created. They are removed on drop, unless [`CreatedParents::keep`] is called.
#[derive(Debug)]
pub(super) struct CreatedParents(Vec<(OpenDirectory, OsString)>);

impl CreatedParents {
    /// Keeps the directories: the file is installed.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for CreatedParents {
    fn drop(&mut self) {
        // A directory in which another process has created something stays: only empty ones can be removed.
        self.0.iter().rev().for_each(|(parent, name)| drop(parent.remove_directory(name)));
    }
}
