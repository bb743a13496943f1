//! The installed file, as it was when it was read.

use std::fs::Metadata;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;

use super::attributes::{FileAttributes, PERMISSIONS, Wanted};
use super::directory::OpenDirectory;
use super::new_attributes::{self, NewAttributes, OTHERS_WRITE, OWNER};
use super::{Target, cannot_replace, for_each_chunk, not_durable, xattrs};
use crate::document::{Checksum, Size};
use crate::error::Result;

/// The installed file.
#[derive(Debug)]
pub struct Installed {
    /// SHA-256 of the content. `None` if the file exceeds the maximum size of a document, or cannot be read.
    pub checksum: Option<Checksum>,
    pub(super) current: FileAttributes,
    /// Its directory, which decides whether a new file takes over the attributes.
    directory: OpenDirectory,
    /// Size in bytes.
    length: u64,
    /// Number of hard links.
    hard_links: u64,
    /// Device and inode.
    pub(super) id: (u64, u64),
    /// Stays open until the end, so that the rename does not wait for the kernel to free the old file (measured: 15 us
    /// instead of 110). `None` if the file cannot be read.
    pub(super) file: Option<fs_err::File>,
    /// If it cannot be read: a descriptor by which its ACL can be.
    unread: Option<fs_err::File>,
}

impl Installed {
    pub(super) fn new(
        checksum: Option<Checksum>,
        metadata: &Metadata,
        file: fs_err::File,
        directory: &OpenDirectory,
    ) -> Installed {
        Installed { checksum, file: Some(file), ..Installed::of(metadata, directory) }
    }

    pub(super) fn unreadable(metadata: &Metadata, file: fs_err::File, directory: &OpenDirectory) -> Installed {
        Installed { unread: Some(file), ..Installed::of(metadata, directory) }
    }

    fn of(metadata: &Metadata, directory: &OpenDirectory) -> Installed {
        Installed {
            checksum: None,
            current: FileAttributes::from_metadata(metadata),
            directory: directory.clone(),
            length: metadata.len(),
            hard_links: metadata.nlink(),
            id: (metadata.dev(), metadata.ino()),
            file: None,
            unread: None,
        }
    }

    /// The mode for a file that replaces this one without its ACL, such that no user gains access.
    pub(super) fn mode_without_acl(&self) -> io::Result<u32> {
        let mode = self.current.mode & PERMISSIONS;
        match (&self.file, &self.unread) {
            (Some(file), _) => xattrs::without_acl(file, mode),
            (None, unread) => {
                // Only the owner's permissions do not depend on an ACL.
                let without = unread.as_ref().and_then(|file| xattrs::without_acl_of_unread(file, mode).ok());
                Ok(without.unwrap_or(mode & OWNER) & !OTHERS_WRITE)
            }
        }
    }

    /// Whether owner and mode need no change.
    pub fn has_wanted(&self, wanted: &Wanted) -> bool {
        // Most files are as a new one would be. Then it does not matter who can have put them there.
        let is_as_new =
            |directory: Metadata| wanted.or_as_new_in(&directory).is_met_by(&self.current) && !self.has_acl();
        self.directory.metadata().is_ok_and(is_as_new) || self.has_effective(wanted)
    }

    fn has_effective(&self, wanted: &Wanted) -> bool {
        self.effective(wanted).is_met_by(&self.current) && !self.has_foreign_acl()
    }

    /// How owner and mode differ from the wanted ones, in words for a log line.
    pub fn drift(&self, wanted: &Wanted) -> Option<String> {
        let acl = self.has_foreign_acl().then(|| "an ACL (see getfacl) instead of none".to_owned());
        self.effective(wanted).difference(&self.current).or(acl)
    }

    /// The attributes to compare with. In a directory that every user can write, the defaults of a new file replace
    /// those that the options leave out: any user can have moved this file there, so its own attributes prove nothing.
    fn effective(&self, wanted: &Wanted) -> Wanted {
        match self.directory.metadata() {
            Ok(directory) if self.may_be_from_anyone() => wanted.or_as_new_in(&directory),
            _ => *wanted,
        }
    }

    /// Whether every user can have moved this file there. This user can open the directory, so examining it fails only
    /// if that changes meanwhile.
    fn may_be_from_anyone(&self) -> bool {
        self.directory.is_open_to_all().unwrap_or(true)
    }

    /// Whether the file has an ACL and is in a directory that every user can write.
    fn has_foreign_acl(&self) -> bool {
        self.may_be_from_anyone() && self.has_acl()
    }

    fn has_acl(&self) -> bool {
        self.file.as_ref().is_some_and(|file| xattrs::has_acl(file).unwrap_or(true))
    }

    /// Whether the change only adds permissions, and so can be made to this file. Removing a permission needs a new
    /// file: a process that has this one open could go on reading or writing it.
    pub fn only_widens(&self, wanted: &Wanted) -> bool {
        let widens = |attributes: NewAttributes| attributes.only_widens(&self.current);
        refuse_foreign_entry(self.hard_links, self.current.user.as_raw(), &self.directory).is_ok()
            && NewAttributes::new(wanted, Some(self), &self.directory).is_ok_and(widens)
    }

    /// Sets the wanted owner and mode on this file, without changing the content.
    ///
    /// # Errors
    /// 73.
    pub fn restore_attributes(&self, wanted: &Wanted) -> Result<()> {
        let restored =
            NewAttributes::new(wanted, Some(self), &self.directory).and_then(|attributes| match &self.file {
                Some(file) => {
                    attributes.refuse_in_place(&self.current)?;
                    refuse_foreign_entry(self.hard_links, self.current.user.as_raw(), &self.directory)?;
                    new_attributes::narrow(file, &attributes, &self.current)?;
                    new_attributes::apply_mode(file, attributes.mode)
                }
                None => Err(io::Error::other("it cannot be read")),
            });
        restored.map_err(|cause| cannot_replace(&cause))
    }

    /// Number of other hard links. They keep the old document when this file is replaced.
    pub fn other_names(&self) -> u64 {
        self.hard_links.saturating_sub(1)
    }

    /// The size. Lines are not counted if the file exceeds the maximum size of a document, or cannot be read.
    ///
    /// # Errors
    /// 73 if reading fails.
    pub fn size(&self) -> Result<Size> {
        let (Some(mut file), true) = (self.file.as_ref(), self.checksum.is_some()) else {
            return Ok(Size::of_bytes(self.length));
        };
        let mut size = Size::default();
        let read = file.rewind().and_then(|()| for_each_chunk(&mut file.take(self.length), |chunk| size.add(chunk)));
        read.map_err(|cause| cannot_replace(&cause))?;
        Ok(size)
    }

    /// Syncs the file and its directory: a run that died may have left them unsynced.
    ///
    /// # Errors
    /// 73.
    pub fn sync(&self, target: &Target) -> Result<()> {
        let file = self.file.as_ref().map_or(Ok(()), fs_err::File::sync_all);
        let synced =
            file.and_then(|()| target.resolved().open_existing()?.map_or(Ok(()), |directory| directory.sync()));
        synced.map_err(|cause| not_durable(&cause))
    }
}

/// Refuses to change an existing file, unless only its owner can have put it there: another user may have moved or linked
/// it there from elsewhere, in order to have it changed.
///
/// # Errors
/// Another user can have put it there.
pub(super) fn refuse_foreign_entry(hard_links: u64, owner: u32, directory: &OpenDirectory) -> io::Result<()> {
    if directory.is_changed_only_by(owner)? {
        return Ok(());
    }
    let names = if hard_links > 1 { format!("it has {hard_links} names (hard links), and ") } else { String::new() };
    Err(io::Error::other(format!(
        "{names}other users can write its directory or put another in its place, so it may be a file that one of them has moved or linked there; leave out --in-place, or remove it"
    )))
}
