//! The copy of a document that `--check` validates. It has the file's real name. No other user can move its directory,
//! and only the user of this run can write it. So the validated document is the installed one, even if other users
//! can write the directories around it.

use std::ffi::{OsStr, OsString};
use std::fs::{Metadata, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::fchown;

use super::attributes::{FileAttributes, PERMISSIONS};
use super::directory::{OpenDirectory, busy};
use super::new_attributes::{GROUP, Labels, NewAttributes, OTHERS_WRITE};
use super::temporary::{CHECK, PRIVATE, Staged, remove};
use super::{Installed, cannot_replace, hash, xattrs};
use crate::document::Verified;
use crate::error::{Result, Status};

/// Mode of the copy's directory. A check that drops its privileges must still reach the copy.
const ENTERABLE: u32 = 0o755;

/// Where the copy is created.
#[derive(Debug)]
pub(super) enum CopyLocation<'a> {
    /// In the staging directory, next to the file.
    NextToFile(&'a Staged),
    /// In a new directory of this name, in a directory that no other user can change.
    Private(OpenDirectory, OsString),
}

/// The document to validate, and the file that it replaces.
#[derive(Debug)]
pub(super) struct Original<'a> {
    pub name: &'a OsStr,
    pub document: &'a Verified,
    pub attributes: &'a NewAttributes,
    pub old: Option<&'a Installed>,
}

/// Runs a check on a copy of the document. The check must not change the copy.
///
/// # Errors
/// The check's own error; 65 if it changed the copy; 73.
pub(super) fn validate(
    original: &Original,
    location: &CopyLocation,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let prepare = || {
        let holder = match location {
            CopyLocation::NextToFile(staged) => {
                CopyDirectory::new(staged.open_to_check()?, CHECK.as_ref(), ENTERABLE, original.name)?
            }
            CopyLocation::Private(parent, name) => CopyDirectory::new(parent, name, PRIVATE, original.name)?,
        };
        let mut copy = holder.directory.create_file(original.name)?;
        copy.write_all(original.document.bytes())?;
        set_attributes(&copy, original)?;
        let metadata = copy.metadata()?;
        Ok((holder, copy, metadata))
    };
    let (holder, mut copy, before) = prepare().map_err(|cause: io::Error| cannot_replace(&cause))?;
    // The check gets a path, and must find this copy there.
    if !holder.directory.is_in_place() {
        return Err(cannot_replace(&busy("its directory has just been replaced by another")));
    }
    check(&holder.directory.path().join(original.name))?;
    let mut is_untouched = || {
        let now = copy.metadata()?;
        copy.rewind()?;
        let has_same_metadata =
            holder.directory.contains(original.name, &now)? && fingerprint(&now) == fingerprint(&before);
        let is_untouched = has_same_metadata && hash(&mut copy)? == original.document.checksum();
        match location {
            CopyLocation::NextToFile(staged) => staged.close().map(|()| is_untouched),
            CopyLocation::Private(..) => Ok(is_untouched),
        }
    };
    if is_untouched().map_err(|cause: io::Error| cannot_replace(&cause))? {
        return Ok(());
    }
    Err(Status::Refused.error(
        "the check changed the new file (path, content, owner or mode), which it must only read; file left unchanged",
    ))
}

/// Owner, mode, and the time of the last change.
fn fingerprint(metadata: &Metadata) -> (FileAttributes, i64, i64) {
    (FileAttributes::from_metadata(metadata), metadata.ctime(), metadata.ctime_nsec())
}

/// Gives the copy the group and the mode of the future file, without write permission for group and others. This user
/// stays the owner: another owner could change the copy before the check reads it, or execute it.
fn set_attributes(copy: &fs_err::File, original: &Original) -> io::Result<()> {
    let Original { attributes, old, .. } = original;
    // The copy has no ACL. Its group gets what the ACL grants the group, not the ACL's mask.
    let mode = match attributes.labels {
        Labels::Keep => {
            old.and_then(|old| old.file.as_ref()).map(|old| xattrs::without_acl(old, attributes.mode)).transpose()?
        }
        Labels::New => Some(xattrs::without_acl(copy, attributes.mode)?),
        Labels::Drop => None,
    };
    xattrs::drop_acl(copy)?;
    let mut mode = mode.unwrap_or(attributes.mode) & PERMISSIONS & !OTHERS_WRITE;
    // The file's owner is one of the copy's group or of the others.
    mode &= 0o700 | (mode >> 6) << 3 | mode >> 6;
    // If the group cannot be set, its members are others, and the copy's own group gets no permission.
    if attributes.group.is_some_and(|group| fchown(copy, None, Some(group)).is_err()) {
        mode &= !GROUP & (0o770 | mode >> 3);
    }
    copy.set_permissions(Permissions::from_mode(mode))
}

/// The directory of the copy. Dropping this removes it, with the copy and everything that the check created next to it.
struct CopyDirectory<'a> {
    parent: &'a OpenDirectory,
    name: &'a OsStr,
    directory: OpenDirectory,
    copy_name: &'a OsStr,
}

impl<'a> CopyDirectory<'a> {
    fn new(
        parent: &'a OpenDirectory,
        name: &'a OsStr,
        mode: u32,
        copy_name: &'a OsStr,
    ) -> io::Result<CopyDirectory<'a>> {
        Ok(CopyDirectory { parent, name, directory: parent.create_directory(name, mode)?, copy_name })
    }
}

impl Drop for CopyDirectory<'_> {
    fn drop(&mut self) {
        remove(self.parent, self.name, &self.directory, self.copy_name, OpenDirectory::remove_contents);
    }
}
