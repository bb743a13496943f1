//! A directory that is held open, and what is done to its entries: relative to it, so that whoever may rename directories
//! above it cannot have one step done here and the next one elsewhere. No link is followed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat, openat2, renameat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::xattrs;
use crate::util::open::{CAREFULLY, is_empty};
use crate::util::ownership::{is_open_to_all, is_ours};

const ENTER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The set-group-id of a directory is inherited, and stays.
const SET_ID: u32 = 0o2000;

/// A directory, by a descriptor of it.
#[derive(Clone, Debug)]
pub(super) struct OpenDirectory {
    file: Rc<fs_err::File>,
    path: PathBuf,
}

impl OpenDirectory {
    /// The directory at an absolute path without a link in it: one system call.
    ///
    /// # Errors
    /// There is a link (`ELOOP`), it cannot be opened, or this kernel has no such call.
    pub fn without_links(path: &Path) -> nix::Result<OpenDirectory> {
        let open = |flags| {
            let how = OpenHow::new().flags(ENTER | flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
            openat2(AT_FDCWD, path, how)
        };
        let file = match open(OFlag::O_RDONLY) {
            Err(Errno::EACCES) => open(OFlag::O_PATH), // One that may be written, but not listed.
            other => other,
        }?;
        Ok(OpenDirectory::of(file, normal(path)))
    }

    /// `/`.
    pub fn root() -> io::Result<OpenDirectory> {
        let root = openat(AT_FDCWD, "/", ENTER | OFlag::O_PATH, Mode::empty())?;
        Ok(OpenDirectory::of(root, "/".into()))
    }

    /// A directory in it, or the one above it (`..`).
    pub fn enter(&self, name: &OsStr) -> io::Result<OpenDirectory> {
        let path = normal(&self.path.join(name));
        let file = match openat(&*self.file, name, ENTER | OFlag::O_RDONLY, Mode::empty()) {
            Err(Errno::EACCES) => openat(&*self.file, name, ENTER | OFlag::O_PATH, Mode::empty()),
            other => other,
        };
        Ok(OpenDirectory::of(file.map_err(|errno| failed("open directory", &path, errno))?, path))
    }

    fn of(file: impl Into<std::fs::File>, path: PathBuf) -> OpenDirectory {
        OpenDirectory { file: Rc::new(fs_err::File::from_parts(file.into(), &path)), path }
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself, open.
    pub fn file(&self) -> &fs_err::File {
        &self.file
    }

    /// Owner, mode and so on.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether everybody may create files there.
    pub fn is_open_to_all(&self) -> io::Result<bool> {
        Ok(is_open_to_all(&self.metadata()?))
    }

    /// What kind of entry is there; none where nothing is, or nothing can be (with so long a name).
    pub fn kind_of(&self, name: &OsStr) -> io::Result<Option<SFlag>> {
        match fstatat(&*self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(is) => Ok(Some(SFlag::from_bits_truncate(is.st_mode) & SFlag::S_IFMT)),
            Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Ok(None),
            Err(errno) => Err(failed("look at", &self.path.join(name), errno)),
        }
    }

    /// Whether the entry is this file, by device and inode.
    pub fn has(&self, name: &OsStr, file: &Metadata) -> io::Result<bool> {
        match fstatat(&*self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(is) => Ok((is.st_dev, is.st_ino) == (file.dev(), file.ino())),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(failed("look at", &self.path.join(name), errno)),
        }
    }

    /// Whether this directory is still at its path.
    pub fn is_in_place(&self) -> bool {
        match (self.metadata(), std::fs::symlink_metadata(&self.path)) {
            (Ok(this), Ok(there)) => (this.dev(), this.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    /// Opens an entry, in the careful way of [`crate::util::open`].
    pub fn open(&self, name: &OsStr, flags: OFlag, mode: Mode) -> nix::Result<fs_err::File> {
        let file = openat(&*self.file, name, CAREFULLY | OFlag::O_CLOEXEC | flags, mode)?;
        Ok(fs_err::File::from_parts(file.into(), self.path.join(name)))
    }

    /// A new file that only this user can open.
    pub fn create(&self, name: &OsStr) -> io::Result<fs_err::File> {
        let new = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        self.open(name, new, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed("create file", &self.path.join(name), errno))
    }

    /// A new directory of this mode, whatever the umask.
    pub fn make(&self, name: &OsStr, mode: u32) -> io::Result<OpenDirectory> {
        let (path, bits) = (self.path.join(name), Mode::from_bits_truncate(mode));
        mkdirat(&*self.file, name, bits).map_err(|errno| failed("create directory", &path, errno))?;
        let open = || openat(&*self.file, name, ENTER | OFlag::O_RDONLY, Mode::empty());
        let opened = open().or_else(|errno| match errno {
            Errno::EACCES => {
                // The umask keeps even its owner out.
                let is = fstatat(&*self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode;
                let inherited = Mode::from_bits_truncate(is & SET_ID);
                fchmodat(&*self.file, name, bits | inherited, FchmodatFlags::NoFollowSymlink)?;
                open()
            }
            errno => Err(errno),
        });
        let made = opened.map_err(|errno| failed("open directory", &path, errno)).and_then(|file| {
            let made = OpenDirectory::of(file, path);
            if !is_empty(&*made.file)? {
                return Err(busy("somebody has just put another directory there"));
            }
            // Whoever may read what is created in it, root or this user says, and not the owner of the directory above.
            if !is_ours(&self.metadata()?) {
                xattrs::drop_default_acl(&made.file)?;
            }
            made.set_mode(mode).map(|()| made)
        });
        made.inspect_err(|_| drop(self.remove_directory(name)))
    }

    /// Sets its permission bits, where they are others.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let is = self.metadata()?.mode();
        if is & !SET_ID & 0o7777 == mode {
            return Ok(());
        }
        self.file.set_permissions(PermissionsExt::from_mode(is & SET_ID | mode))
    }

    /// Renames an entry into another directory.
    pub fn rename(&self, name: &OsStr, to: &OpenDirectory, new_name: &OsStr) -> io::Result<()> {
        renameat(&*self.file, name, &*to.file, new_name).map_err(|errno| {
            let (from, to) = (self.path.join(name), to.path.join(new_name));
            said(&errno.into(), format_args!("failed to rename {} to {}", from.display(), to.display()))
        })
    }

    /// Has two entries change places.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        renameat2(&*self.file, one, &*self.file, other, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| failed("put another in the place of", &self.path.join(other), errno))
    }

    /// Removes an entry that is no directory.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(&*self.file, name, UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| failed("remove file", &self.path.join(name), errno))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(&*self.file, name, UnlinkatFlags::RemoveDir)
            .map_err(|errno| failed("remove directory", &self.path.join(name), errno))
    }

    /// Removes all that is in it.
    pub fn empty(&self) -> io::Result<()> {
        let cannot = |errno| failed("list directory", &self.path, errno);
        let mut entries = Dir::openat(&*self.file, ".", ENTER | OFlag::O_RDONLY, Mode::empty()).map_err(cannot)?;
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
        match self.file.file().sync_all() {
            // Of a descriptor that is only a path.
            Err(cause) if cause.raw_os_error() == Some(Errno::EBADF as i32) => Ok(()),
            Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            Err(cause) => Err(said(&cause, format_args!("failed to sync {}", self.path.display()))),
            Ok(()) => Ok(()),
        }
    }
}

/// The system's error, with what failed and on which path.
pub(super) fn failed(what: &str, path: &Path, errno: Errno) -> io::Error {
    said(&errno.into(), format_args!("failed to {what} {}", path.display()))
}

fn said(cause: &io::Error, what: fmt::Arguments) -> io::Error {
    io::Error::new(cause.kind(), format!("{what}: {cause}"))
}

/// Somebody else was faster: it may be tried again. Told apart by its kind.
pub(super) fn busy(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::WouldBlock, why)
}

/// Without `..`, which means what it seems to where there are no links.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
        normal
    })
}
