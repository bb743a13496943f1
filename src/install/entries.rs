//! Operations on an open directory and its entries. They use its descriptor and follow no link.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{self, FchmodatFlags, Mode, SFlag, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::directory::{ENTER, OpenDirectory, busy, failed, with_context};
use super::xattrs;

/// The set-group-id bit of a directory. A new directory inherits it and keeps it.
const SET_ID: u32 = 0o2000;

impl OpenDirectory {
    /// Creates a file that only this user can open.
    pub fn create_file(&self, name: &OsStr) -> io::Result<fs_err::File> {
        let new = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        self.open(name, new, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed("create file", &self.path().join(name), errno))
    }

    /// Creates a directory with this mode, whatever the umask. Where another user can rename entries, its mode is not
    /// changed afterwards: that user can have given its name to another directory of this user.
    pub fn create_directory(&self, name: &OsStr, mode: u32) -> io::Result<OpenDirectory> {
        let (path, bits) = (self.path().join(name), Mode::from_bits_truncate(mode));
        let is_exposed = self.exposure()?.is_some();
        let mut begun = None;
        let made = if is_exposed {
            // The clock of the file system may be a tick behind.
            begun = SystemTime::now().checked_sub(Duration::from_millis(20));
            let umask = stat::umask(Mode::empty()); // No other thread creates files.
            let made = mkdirat(self.file(), name, bits);
            stat::umask(umask);
            made
        } else {
            mkdirat(self.file(), name, bits)
        };
        made.map_err(|errno| failed("create directory", &path, errno))?;
        let open = || openat(self.file(), name, ENTER | OFlag::O_RDONLY, Mode::empty());
        let opened = open().or_else(|errno| match errno {
            Errno::EACCES if !is_exposed => {
                // The umask denies access even to the owner.
                let current = fstatat(self.file(), name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode;
                let inherited = Mode::from_bits_truncate(current & SET_ID);
                fchmodat(self.file(), name, bits | inherited, FchmodatFlags::NoFollowSymlink)?;
                open()
            }
            errno => Err(errno),
        });
        let created = opened.map_err(|errno| failed("open directory", &path, errno)).and_then(|file| {
            let created = OpenDirectory::new(file, path);
            if !created.is_empty()? {
                return Err(busy("another process has just replaced the new directory"));
            }
            if is_exposed {
                let born = created.metadata()?.created().ok();
                if born.is_some_and(|born| begun.is_some_and(|begun| born < begun)) {
                    return Err(busy("another process has just replaced the new directory"));
                }
                // Only root or this user may decide who can read new files in it, not who can change the parent.
                xattrs::drop_default_acl(created.file())?;
            } else {
                created.set_mode(mode)?;
            }
            Ok(created)
        });
        created.inspect_err(|cause| {
            if cause.kind() != ErrorKind::WouldBlock {
                drop(self.remove_directory(name));
            }
        })
    }

    /// Removes the directory's ACL and its default ACL.
    pub fn drop_acls(&self) -> io::Result<()> {
        xattrs::drop_acl(self.file())?;
        xattrs::drop_default_acl(self.file())
    }

    /// Sets the permission bits, if they differ.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let current = self.metadata()?.mode();
        if current & !SET_ID & 0o7777 == mode {
            return Ok(());
        }
        self.file().set_permissions(PermissionsExt::from_mode(current & SET_ID | mode))
    }

    /// Moves an entry into another directory, under a new name.
    pub fn rename(&self, name: &OsStr, to: &OpenDirectory, new_name: &OsStr) -> io::Result<()> {
        renameat(self.file(), name, to.file(), new_name).map_err(|errno| {
            let (from, to) = (self.path().join(name), to.path().join(new_name));
            with_context(&errno.into(), format_args!("failed to rename {} to {}", from.display(), to.display()))
        })
    }

    /// Swaps two entries atomically.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        renameat2(self.file(), one, self.file(), other, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| failed("put another in the place of", &self.path().join(other), errno))
    }

    /// Removes an entry that is not a directory.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self.file(), name, UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| failed("remove file", &self.path().join(name), errno))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self.file(), name, UnlinkatFlags::RemoveDir)
            .map_err(|errno| failed("remove directory", &self.path().join(name), errno))
    }

    /// Removes all entries.
    pub fn remove_contents(&self) -> io::Result<()> {
        let mut names = Vec::new();
        self.all_names(|name| {
            names.push(name.to_owned());
            true
        })?;
        names.iter().try_for_each(|name: &OsString| self.remove_all(name))
    }

    /// Whether the directory is empty.
    pub fn is_empty(&self) -> io::Result<bool> {
        self.has_only(&[])
    }

    /// Whether it has no entries but of these names.
    pub fn has_only(&self, names: &[&str]) -> io::Result<bool> {
        self.all_names(|name| names.iter().any(|known| name == *known))
    }

    /// Whether this holds for the names of all entries. Ends at the first for which it does not.
    fn all_names(&self, mut holds: impl FnMut(&OsStr) -> bool) -> io::Result<bool> {
        let cannot = |errno| failed("list directory", self.path(), errno);
        let mut entries = Dir::openat(self.file(), ".", ENTER | OFlag::O_RDONLY, Mode::empty()).map_err(cannot)?;
        for entry in entries.iter() {
            let entry = entry.map_err(cannot)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && !holds(name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes an entry and its contents, if it exists.
    pub fn remove_all(&self, name: &OsStr) -> io::Result<()> {
        match self.kind_of(name)? {
            None => Ok(()),
            Some(SFlag::S_IFDIR) => {
                self.enter(name)?.remove_contents()?;
                self.remove_directory(name)
            }
            Some(_) => self.remove(name),
        }
    }

    /// Syncs the directory to disk. A file system that does not support this, or a directory that this user cannot
    /// read, is not an error: there is no other way.
    pub fn sync(&self) -> io::Result<()> {
        match self.file().file().sync_all() {
            // The descriptor was opened with O_PATH, because this user cannot read the directory.
            Err(cause) if cause.raw_os_error() == Some(Errno::EBADF as i32) => Ok(()),
            Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            Err(cause) => Err(with_context(&cause, format_args!("failed to sync {}", self.path().display()))),
            Ok(()) => Ok(()),
        }
    }
}
