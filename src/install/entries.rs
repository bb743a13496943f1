//! What is done to a directory that is held open, and to its entries: relative to it, and through no link.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::{ENTER, OpenDirectory, busy, failed, said};
use super::xattrs;
use crate::util::open::is_empty;
use crate::util::ownership::is_ours;

/// The set-group-id of a directory is inherited, and stays.
const SET_ID: u32 = 0o2000;

impl OpenDirectory {
    /// A new file that only this user can open.
    pub fn create(&self, name: &OsStr) -> io::Result<fs_err::File> {
        let new = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        self.open(name, new, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed("create file", &self.path().join(name), errno))
    }

    /// A new directory of this mode, whatever the umask.
    pub fn make(&self, name: &OsStr, mode: u32) -> io::Result<OpenDirectory> {
        let (path, bits) = (self.path().join(name), Mode::from_bits_truncate(mode));
        mkdirat(self.file(), name, bits).map_err(|errno| failed("create directory", &path, errno))?;
        let open = || openat(self.file(), name, ENTER | OFlag::O_RDONLY, Mode::empty());
        let opened = open().or_else(|errno| match errno {
            Errno::EACCES => {
                // The umask keeps even its owner out.
                let is = fstatat(self.file(), name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode;
                let inherited = Mode::from_bits_truncate(is & SET_ID);
                fchmodat(self.file(), name, bits | inherited, FchmodatFlags::NoFollowSymlink)?;
                open()
            }
            errno => Err(errno),
        });
        let made = opened.map_err(|errno| failed("open directory", &path, errno)).and_then(|file| {
            let made = OpenDirectory::of(file, path);
            if !made.is_empty()? {
                return Err(busy("somebody has just put another directory there"));
            }
            // Whoever may read what is created in it, root or this user says, and not the owner of the directory above.
            if !is_ours(&self.metadata()?) {
                xattrs::drop_default_acl(made.file())?;
            }
            made.set_mode(mode).map(|()| made)
        });
        made.inspect_err(|_| drop(self.remove_directory(name)))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        is_empty(self.file())
    }

    /// Takes away its ACL, and the one that whatever is created in it would get.
    pub fn drop_acls(&self) -> io::Result<()> {
        xattrs::drop_acl(self.file())?;
        xattrs::drop_default_acl(self.file())
    }

    /// Sets its permission bits, where they are others.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let is = self.metadata()?.mode();
        if is & !SET_ID & 0o7777 == mode {
            return Ok(());
        }
        self.file().set_permissions(PermissionsExt::from_mode(is & SET_ID | mode))
    }

    /// Renames an entry into another directory.
    pub fn rename(&self, name: &OsStr, to: &OpenDirectory, new_name: &OsStr) -> io::Result<()> {
        renameat(self.file(), name, to.file(), new_name).map_err(|errno| {
            let (from, to) = (self.path().join(name), to.path().join(new_name));
            said(&errno.into(), format_args!("failed to rename {} to {}", from.display(), to.display()))
        })
    }

    /// Has two entries change places.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        renameat2(self.file(), one, self.file(), other, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| failed("put another in the place of", &self.path().join(other), errno))
    }

    /// Removes an entry that is no directory.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self.file(), name, UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| failed("remove file", &self.path().join(name), errno))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self.file(), name, UnlinkatFlags::RemoveDir)
            .map_err(|errno| failed("remove directory", &self.path().join(name), errno))
    }

    /// Removes all that is in it.
    pub fn empty(&self) -> io::Result<()> {
        let cannot = |errno| failed("list directory", self.path(), errno);
        let mut entries = Dir::openat(self.file(), ".", ENTER | OFlag::O_RDONLY, Mode::empty()).map_err(cannot)?;
        for entry in entries.iter() {
            let entry = entry.map_err(cannot)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            self.remove_all(name)?;
        }
        Ok(())
    }

    /// Removes an entry, if it is there, and what is in it.
    pub fn remove_all(&self, name: &OsStr) -> io::Result<()> {
        match self.kind_of(name)? {
            None => Ok(()),
            Some(SFlag::S_IFDIR) => {
                self.enter(name)?.empty()?;
                self.remove_directory(name)
            }
            Some(_) => self.remove(name),
        }
    }

    /// Puts on disk what it holds. Where that is not to be had on this file system, or not for this user, there is no more
    /// to be done.
    pub fn sync(&self) -> io::Result<()> {
        match self.file().file().sync_all() {
            // Of a descriptor that is only a path.
            Err(cause) if cause.raw_os_error() == Some(Errno::EBADF as i32) => Ok(()),
            Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            Err(cause) => Err(said(&cause, format_args!("failed to sync {}", self.path().display()))),
            Ok(()) => Ok(()),
        }
    }
}
