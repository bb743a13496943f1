//! `--in-place`: through the file that is there, for one that must stay the same (mounted by itself, or held open). A
//! reader may see a mixture of both documents, and whoever dies halfway leaves one: the state knows, and the next run ends
//! what was begun.

use std::ffi::OsStr;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;

use super::attributes::Has;
use super::directory::{OpenDirectory, busy, failed};
use super::due::{NewAttributes, give_mode, narrow};
use super::installed::assert_one_file;
use super::{Installed, hash};
use crate::document::Verified;

/// The file that is there, open and with room for the document; nothing of it has changed.
#[derive(Debug)]
pub(super) struct Opened {
    file: fs_err::File,
    has: Has,
}

impl Opened {
    /// Opens it. It is not locked: a lock that others can take would keep us out for as long as they like, and a run with
    /// another state directory that writes at the same time is noticed when it is read again.
    pub fn of(
        directory: &OpenDirectory,
        name: &OsStr,
        document: &Verified,
        old: &Installed,
        due: &NewAttributes,
    ) -> io::Result<Opened> {
        due.refuse_in_place(&old.has)?;
        let file = directory.open(name, OFlag::O_RDWR, Mode::empty()).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => io::Error::other(format!(
                "a process has a lease on {}; end it, or leave out --in-place",
                directory.path().join(name).display()
            )),
            errno => failed("open file", &directory.path().join(name), errno),
        })?;
        let is = file.metadata()?;
        if (is.dev(), is.ino()) != old.id {
            return Err(busy("somebody has just put another file there"));
        }
        assert_one_file(is.nlink(), is.uid(), &directory.metadata()?)?;
        make_room(&file, document.bytes().len(), is.len())?;
        Ok(Opened { file, has: Has::of(&is) })
    }

    /// Writes the document into it, and reads it again.
    ///
    /// Whoever may not read the new document may not while it is written, and whoever might not read the old one neither.
    pub fn write(mut self, document: &Verified, due: &NewAttributes) -> io::Result<()> {
        narrow(&self.file, due, &self.has)?;
        self.fill(document)?;
        give_mode(&self.file, due.mode)?; // Last: writing takes set-id bits away.
        self.file.sync_all()
    }

    fn fill(&mut self, document: &Verified) -> io::Result<()> {
        let length = u64::try_from(document.bytes().len()).unwrap_or(u64::MAX);
        self.file.write_all(document.bytes())?;
        self.file.set_len(length)?;
        self.file.rewind()?;
        if hash(&mut (&mut self.file).take(length.saturating_add(1)))? == document.checksum() {
            Ok(())
        } else {
            Err(io::Error::other("what was written is not what can be read; does somebody else write it?"))
        }
    }
}

/// A full disk is noticed before anything is harmed, where the file system can promise room; and a limit of file sizes.
fn make_room(file: &fs_err::File, size: usize, length: u64) -> io::Result<()> {
    let Some(size) = i64::try_from(size).ok().filter(|size| *size > 0) else { return Ok(()) };
    if getrlimit(Resource::RLIMIT_FSIZE)?.0 < size.unsigned_abs() {
        return Err(Errno::EFBIG.into());
    }
    loop {
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, size) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => {
                drop(file.set_len(length)); // Gives back what it got of the room.
                return Err(errno.into());
            }
        }
    }
}
