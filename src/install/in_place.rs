//! `--in-place`: writes through the existing file, for a file that must keep its inode (a bind mount, or a file that a
//! process holds open). A reader can see a mixture of both documents. A run that dies halfway leaves such a mixture;
//! the state records it, and the next run completes the write.

use std::ffi::OsStr;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;

use super::attributes::FileAttributes;
use super::directory::{OpenDirectory, busy, failed};
use super::installed::refuse_foreign_entry;
use super::new_attributes::{NewAttributes, apply_mode, narrow};
use super::{Installed, hash};
use crate::document::Verified;

/// The existing file, open, with disk space reserved for the document. It is not changed yet.
#[derive(Debug)]
pub(super) struct InPlaceFile {
    file: fs_err::File,
    current: FileAttributes,
}

impl InPlaceFile {
    /// Opens the file and reserves disk space. The file is not locked: other users could take the same lock and block
    /// kvx for as long as they like. If a run with another state directory writes at the same time, reading the file
    /// back detects it.
    pub fn open(
        directory: &OpenDirectory,
        name: &OsStr,
        document: &Verified,
        old: &Installed,
        attributes: &NewAttributes,
    ) -> io::Result<InPlaceFile> {
        attributes.refuse_in_place(&old.current)?;
        let file = directory.open(name, OFlag::O_RDWR, Mode::empty()).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => io::Error::other(format!(
                "a process has a lease on {}; end it, or leave out --in-place",
                directory.path().join(name).display()
            )),
            errno => failed("open file", &directory.path().join(name), errno),
        })?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) != old.id {
            return Err(busy("another process has just replaced the file"));
        }
        refuse_foreign_entry(metadata.nlink(), metadata.uid(), directory)?;
        reserve_space(&file, document.bytes().len(), metadata.len())?;
        Ok(InPlaceFile { file, current: FileAttributes::from_metadata(&metadata) })
    }

    /// Writes the document and reads it back.
    ///
    /// Meanwhile, only users who may read both the old and the new document can read the file.
    pub fn write(mut self, document: &Verified, attributes: &NewAttributes) -> io::Result<()> {
        narrow(&self.file, attributes, &self.current)?;
        self.write_and_verify(document)?;
        apply_mode(&self.file, attributes.mode)?; // Last, because writing clears set-id bits.
        self.file.sync_all()
    }

    fn write_and_verify(&mut self, document: &Verified) -> io::Result<()> {
        let length = u64::try_from(document.bytes().len()).unwrap_or(u64::MAX);
        self.file.write_all(document.bytes())?;
        self.file.set_len(length)?;
        self.file.rewind()?;
        if hash(&mut (&mut self.file).take(length.saturating_add(1)))? == document.checksum() {
            Ok(())
        } else {
            Err(io::Error::other("the file does not contain what was written; another process may be writing to it"))
        }
    }
}

/// Detects a full disk, where the file system can reserve space, and a file size limit, before the file is changed.
fn reserve_space(file: &fs_err::File, size: usize, old_length: u64) -> io::Result<()> {
    let Some(size) = i64::try_from(size).ok().filter(|size| *size > 0) else { return Ok(()) };
    if getrlimit(Resource::RLIMIT_FSIZE)?.0 < size.unsigned_abs() {
        return Err(Errno::EFBIG.into());
    }
    loop {
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, size) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => {
                drop(file.set_len(old_length)); // Releases the space that was reserved.
                return Err(errno.into());
            }
        }
    }
}
