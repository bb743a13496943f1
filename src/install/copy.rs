//! The copy of a document that a check is shown: under the file's real name, in a directory that no other user can move, and a
//! file that only the user of this run can write. So what has been approved of is what is installed, whoever else can write what.

use std::ffi::{OsStr, OsString};
use std::fs::{Metadata, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::fchown;

use super::attributes::{Has, PERMISSIONS};
use super::directory::OpenDirectory;
use super::due::{GROUP, Labels, NewAttributes, OTHERS_WRITE};
use super::temporary::{CHECK, PRIVATE, Staged, remove};
use super::{Installed, cannot, hash, xattrs};
use crate::document::Verified;
use crate::error::{Result, Status};

/// Of the copy's directory where a check that gives up its rights is to reach it.
const ENTERABLE: u32 = 0o755;

/// Where the copy is made.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// In the directory in which the file is prepared, next to the file.
    NextToFile(&'a Staged),
    /// In a new directory of this name, here, where no other user can change anything.
    Apart(OpenDirectory, OsString),
}

/// What is shown, and of which file.
#[derive(Debug)]
pub(super) struct Original<'a> {
    pub name: &'a OsStr,
    pub document: &'a Verified,
    pub due: &'a NewAttributes,
    pub old: Option<&'a Installed>,
}

/// Shows a copy of the document to somebody who may look at it, but not touch it.
pub(super) fn show(original: &Original, place: &Place, approve: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let prepare = || {
        let shown = match place {
            Place::NextToFile(staged) => Shown::new(staged.open_to_check()?, CHECK.as_ref(), ENTERABLE, original.name)?,
            Place::Apart(above, name) => Shown::new(above, name, PRIVATE, original.name)?,
        };
        let mut copy = shown.directory.create(original.name)?;
        copy.write_all(original.document.bytes())?;
        give(&copy, original)?;
        let is = copy.metadata()?;
        Ok((shown, copy, is))
    };
    let (shown, mut copy, before) = prepare().map_err(|cause: io::Error| cannot(&cause))?;
    approve(&shown.directory.path().join(original.name))?;
    let mut is_untouched = || {
        let is = copy.metadata()?;
        copy.rewind()?;
        let is_there = shown.directory.has(original.name, &is)? && state_of(&is) == state_of(&before);
        let is_untouched = is_there && hash(&mut copy)? == original.document.checksum();
        match place {
            Place::NextToFile(staged) => staged.close().map(|()| is_untouched),
            Place::Apart(..) => Ok(is_untouched),
        }
    };
    if is_untouched().map_err(|cause: io::Error| cannot(&cause))? {
        return Ok(());
    }
    Err(Status::Refused.error(
        "the check has changed the file it was shown (place, content, owner or mode), which it may only look at; the file stays as it was",
    ))
}

/// Owner, mode, and when it was last changed.
fn state_of(is: &Metadata) -> (Has, i64, i64) {
    (Has::of(is), is.ctime(), is.ctime_nsec())
}

/// Gives the copy the group and the mode that the file will have, as far as they let somebody read. It stays this user's, who
/// alone can write it: its owner could have the check see another content than is installed, or execute it.
fn give(copy: &fs_err::File, original: &Original) -> io::Result<()> {
    let Original { due, old, .. } = original;
    // Without an ACL, the group has what the ACL grants it, and not what the mask would let through.
    let mode = match due.labels {
        Labels::Keep => {
            old.and_then(|old| old.file.as_ref()).map(|old| xattrs::without_acl(old, due.mode)).transpose()?
        }
        Labels::New => Some(xattrs::without_acl(copy, due.mode)?),
        Labels::Drop => None,
    };
    xattrs::drop_acl(copy)?;
    // Another group than is meant is let in to nothing.
    let has_group = due.group.is_none_or(|group| fchown(copy, None, Some(group)).is_ok());
    let closed = if has_group { OTHERS_WRITE } else { OTHERS_WRITE | GROUP };
    copy.set_permissions(Permissions::from_mode(mode.unwrap_or(due.mode) & PERMISSIONS & !closed))
}

/// The directory of a copy: gone when this is dropped, with the copy, and with what the check has put next to it.
struct Shown<'a> {
    above: &'a OpenDirectory,
    at: &'a OsStr,
    directory: OpenDirectory,
    name: &'a OsStr,
}

impl<'a> Shown<'a> {
    fn new(above: &'a OpenDirectory, at: &'a OsStr, mode: u32, name: &'a OsStr) -> io::Result<Shown<'a>> {
        Ok(Shown { above, at, directory: above.make(at, mode)?, name })
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        remove(self.above, self.at, &self.directory, self.name, OpenDirectory::empty);
    }
}
