//! A directory that is held open: what is found in it is found relative to it, so that whoever may rename directories above it
//! cannot have one step done here and the next one elsewhere. No link is followed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use crate::util::open::CAREFULLY;
use crate::util::ownership::is_open_to_all;

pub(super) const ENTER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A directory, by a descriptor of it.
#[derive(Clone, Debug)]
pub(crate) struct OpenDirectory {
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

    pub(super) fn of(file: impl Into<std::fs::File>, path: PathBuf) -> OpenDirectory {
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

    /// What an entry is; none where nothing is, or nothing can be (with so long a name).
    pub fn look_at(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&*self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(is) => Ok(Some(is)),
            Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Ok(None),
            Err(errno) => Err(failed("look at", &self.path.join(name), errno)),
        }
    }

    /// What kind of entry is there, if there is one.
    pub fn kind_of(&self, name: &OsStr) -> io::Result<Option<SFlag>> {
        Ok(self.look_at(name)?.map(|is| SFlag::from_bits_truncate(is.st_mode) & SFlag::S_IFMT))
    }

    /// Whether the entry is this file, by device and inode.
    pub fn has(&self, name: &OsStr, file: &Metadata) -> io::Result<bool> {
        Ok(self.look_at(name)?.is_some_and(|is| (is.st_dev, is.st_ino) == (file.dev(), file.ino())))
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
}

/// The system's error, with what failed and on which path.
pub(crate) fn failed(what: &str, path: &Path, errno: Errno) -> io::Error {
    said(&errno.into(), format_args!("failed to {what} {}", path.display()))
}

pub(super) fn said(cause: &io::Error, what: fmt::Arguments) -> io::Error {
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
