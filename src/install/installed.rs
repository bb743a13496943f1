//! The file that is there, as it was at the look.

use std::fs::Metadata;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;

use super::attributes::{Has, Wanted};
use super::directory::OpenDirectory;
use super::due::{self, NewAttributes};
use super::{Target, cannot, each_piece, replacement, xattrs};
use crate::document::{Checksum, Size};
use crate::error::Result;
use crate::util::ownership::{is_only_of, is_open_to_all};

/// The file as it is now.
#[derive(Debug)]
pub struct Installed {
    /// Of its content; none where it is larger than any document may be, or cannot be read.
    pub checksum: Option<Checksum>,
    pub(super) has: Has,
    /// Its directory, which decides whether a new file takes over its owner, mode and so on.
    directory: Metadata,
    /// In bytes.
    length: u64,
    /// How many names (hard links) it has.
    names: u64,
    /// Device and inode.
    pub(super) id: (u64, u64),
    /// Open until the end: the kernel's work of freeing it stays out of the rename (measured: 15 us instead of 110). None
    /// where it cannot be read.
    pub(super) file: Option<fs_err::File>,
}

impl Installed {
    pub(super) fn new(
        checksum: Option<Checksum>,
        is: &Metadata,
        file: fs_err::File,
        directory: &OpenDirectory,
    ) -> Result<Installed> {
        Ok(Installed { checksum, file: Some(file), ..Installed::unreadable(is, directory)? })
    }

    pub(super) fn unreadable(is: &Metadata, directory: &OpenDirectory) -> Result<Installed> {
        Ok(Installed {
            checksum: None,
            has: Has::of(is),
            directory: directory.metadata().map_err(|cause| cannot(&cause))?,
            length: is.len(),
            names: is.nlink(),
            id: (is.dev(), is.ino()),
            file: None,
        })
    }

    /// Whether owner and mode are as wanted.
    pub fn has(&self, wanted: &Wanted) -> bool {
        self.all_of(wanted).is_met_by(&self.has) && !self.has_acl_of_a_stranger()
    }

    /// How owner and mode are otherwise than wanted, for people.
    pub fn drift(&self, wanted: &Wanted) -> Option<String> {
        let acl = self.has_acl_of_a_stranger().then(|| "an ACL (see getfacl) instead of none".to_owned());
        self.all_of(wanted).difference(&self.has).or(acl)
    }

    /// What is wanted of a file there. In a directory that every user can write, what is not said is not as it is, since anyone
    /// can have moved this file there, but as it would be without it.
    fn all_of(&self, wanted: &Wanted) -> Wanted {
        if is_open_to_all(&self.directory) { wanted.or_as_new_in(&self.directory) } else { *wanted }
    }

    /// Whether it has an ACL in a directory that every user can write.
    fn has_acl_of_a_stranger(&self) -> bool {
        let has_acl = |file: &fs_err::File| xattrs::has_acl(file).unwrap_or(true);
        is_open_to_all(&self.directory) && self.file.as_ref().is_some_and(has_acl)
    }

    /// Whether all that is to be done is to let in more: then it may be done to the file that is there. Whom it no longer lets
    /// in may have it open, and go on reading or writing that inode.
    pub fn only_widens(&self, wanted: &Wanted) -> bool {
        let widens = |due: NewAttributes| due.only_widens(&self.has);
        !is_open_to_all(&self.directory)
            && assert_one_file(self.names, self.has.user.as_raw(), &self.directory).is_ok()
            && NewAttributes::of(wanted, Some(self), &self.directory).is_ok_and(widens)
    }

    /// Gives this file the owner and mode wanted; the content stays.
    ///
    /// # Errors
    /// 73.
    pub fn restore_attributes(&self, wanted: &Wanted) -> Result<()> {
        let given = NewAttributes::of(wanted, Some(self), &self.directory).and_then(|due| match &self.file {
            Some(file) => {
                due.refuse_in_place(&self.has)?;
                assert_one_file(self.names, self.has.user.as_raw(), &self.directory)?;
                due::narrow(file, &due, &self.has)?;
                due::give_mode(file, due.mode)
            }
            None => Err(io::Error::other("it cannot be read")),
        });
        given.map_err(|cause| cannot(&cause))
    }

    /// Its other names (hard links), which keep what it was when it is replaced by another file.
    pub fn other_names(&self) -> u64 {
        self.names.saturating_sub(1)
    }

    /// How large it is. Of one that no document may be as large as, or that cannot be read, the lines are not counted.
    ///
    /// # Errors
    /// 73 where it cannot be read any more.
    pub fn size(&self) -> Result<Size> {
        let (Some(mut file), true) = (self.file.as_ref(), self.checksum.is_some()) else {
            return Ok(Size::of_bytes(self.length));
        };
        let mut size = Size::default();
        let read = file.rewind().and_then(|()| each_piece(&mut file.take(self.length), |piece| size.add(piece)));
        read.map_err(|cause| cannot(&cause))?;
        Ok(size)
    }

    /// Puts on disk what may not be there yet, as after a run that died.
    ///
    /// # Errors
    /// 73.
    pub fn sync(&self, target: &Target) -> Result<()> {
        let file = self.file.as_ref().map_or(Ok(()), fs_err::File::sync_all);
        let synced = file.and_then(|()| target.found().now()?.map_or(Ok(()), |directory| directory.sync()));
        synced.map_err(|cause| replacement::not_on_disk(&cause))
    }
}

/// A file of this owner in this directory is not one of another name, too, which another user has linked there to have it changed.
///
/// # Errors
/// It has other names, and another user can have made this one.
pub(super) fn assert_one_file(names: u64, owner: u32, directory: &Metadata) -> io::Result<()> {
    if names <= 1 || is_only_of(directory, owner) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it has {names} names (hard links), and other users can write its directory: it may be a file that one of them has linked there; leave out --in-place, or remove it"
    )))
}
