//! The file that is there, as it was at the look.

use std::fs::Metadata;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;

use super::attributes::{Has, NewAttributes, Wanted};
use super::directory::OpenDirectory;
use super::{Target, attributes, cannot, each_piece, replacement};
use crate::document::{Checksum, Size};
use crate::error::Result;
use crate::util::ownership::{counts, is_ours};

/// The file as it is now.
#[derive(Debug)]
pub struct Installed {
    /// Of its content; none where it is larger than any document may be, or cannot be read.
    pub checksum: Option<Checksum>,
    pub(super) has: Has,
    /// Whether a new file takes over its owner, mode and so on. Not from one that a user has put where everybody can.
    pub(super) is_believed: bool,
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
        // The directory is only looked at where it matters.
        let is_believed = is_ours(is) || counts(is, &directory.metadata().map_err(|cause| cannot(&cause))?);
        Ok(Installed {
            checksum: None,
            has: Has::of(is),
            is_believed,
            length: is.len(),
            names: is.nlink(),
            id: (is.dev(), is.ino()),
            file: None,
        })
    }

    /// Whether owner and mode are as wanted.
    pub fn has(&self, wanted: &Wanted) -> bool {
        wanted.is_met_by(&self.has, self.is_believed)
    }

    /// How owner and mode are otherwise than wanted, for people.
    pub fn drift(&self, wanted: &Wanted) -> Option<String> {
        wanted.difference(&self.has)
    }

    /// Whether all that is to be done is to let in more: then it may be done to the file that is there. Whom it no longer lets
    /// in may have it open, and go on reading or writing that inode.
    pub fn only_widens(&self, wanted: &Wanted) -> bool {
        self.is_believed && NewAttributes::of(wanted, Some(self)).is_ok_and(|due| due.only_widens(&self.has))
    }

    /// Gives this file the owner and mode wanted; the content stays.
    ///
    /// # Errors
    /// 73.
    pub fn restore_attributes(&self, wanted: &Wanted) -> Result<()> {
        let given = NewAttributes::of(wanted, Some(self)).and_then(|due| match &self.file {
            Some(file) => {
                due.refuse_in_place(&self.has)?;
                attributes::narrow(file, &due, &self.has)?;
                attributes::give_mode(file, due.mode)
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
