//! A directory that is held open. Its entries are accessed relative to its descriptor, so a user who can rename a
//! parent directory cannot redirect the next step to another directory. No symbolic link is followed.

use std::cell::OnceCell;
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
use nix::sys::statfs::fstatfs;
use nix::unistd::geteuid;

use crate::util::open::CAREFULLY;
use crate::util::ownership::{self, Exposure, Others, is_shared};

pub(super) const ENTER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// An open directory and its canonical path.
#[derive(Clone, Debug)]
pub(crate) struct OpenDirectory {
    open: Rc<Open>,
    path: PathBuf,
}

#[derive(Debug)]
struct Open {
    file: fs_err::File,
    /// Examined once.
    exposure: OnceCell<Option<Exposure>>,
}

impl OpenDirectory {
    /// Opens the directory at an absolute path that contains no link, with one system call.
    ///
    /// # Errors
    /// The path contains a link or `..` (`ELOOP`), the directory cannot be opened, or the kernel lacks `openat2`.
    pub fn without_links(path: &Path) -> nix::Result<OpenDirectory> {
        // The kernel goes to the parent that the directory has now, wherever another user has just moved it.
        if path.components().any(|component| component == Component::ParentDir) {
            return Err(Errno::ELOOP);
        }
        let open = |flags| {
            let options = OpenHow::new().flags(ENTER | flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
            openat2(AT_FDCWD, path, options)
        };
        let file = match open(OFlag::O_RDONLY) {
            Err(Errno::EACCES) => open(OFlag::O_PATH), // It may be writable without being readable.
            other => other,
        }?;
        Ok(OpenDirectory::new(file, path.components().collect()))
    }

    /// Like [`OpenDirectory::without_links`], name by name.
    fn by_names(path: &Path) -> io::Result<OpenDirectory> {
        path.components().try_fold(OpenDirectory::root()?, |directory, component| match component {
            Component::Normal(name) => directory.enter(name),
            _ => Ok(directory),
        })
    }

    /// Opens `/`.
    pub fn root() -> io::Result<OpenDirectory> {
        let root = openat(AT_FDCWD, "/", ENTER | OFlag::O_PATH, Mode::empty())?;
        Ok(OpenDirectory::new(root, "/".into()))
    }

    /// Opens a subdirectory.
    pub fn enter(&self, name: &OsStr) -> io::Result<OpenDirectory> {
        let path = self.path.join(name);
        let file = match openat(self.file(), name, ENTER | OFlag::O_RDONLY, Mode::empty()) {
            Err(Errno::EACCES) => openat(self.file(), name, ENTER | OFlag::O_PATH, Mode::empty()),
            other => other,
        };
        Ok(OpenDirectory::new(file.map_err(|errno| failed("open directory", &path, errno))?, path))
    }

    pub(super) fn new(file: impl Into<std::fs::File>, path: PathBuf) -> OpenDirectory {
        let file = fs_err::File::from_parts(file.into(), &path);
        OpenDirectory { open: Rc::new(Open { file, exposure: OnceCell::new() }), path }
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open descriptor.
    pub fn file(&self) -> &fs_err::File {
        &self.open.file
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file().metadata()
    }

    /// Who else can change it or a directory above it. These users can also put another directory in its place, with
    /// entries, an ACL and a group that this user has given it for another purpose.
    pub fn exposure(&self) -> io::Result<Option<&Exposure>> {
        if self.open.exposure.get().is_none() {
            drop(self.open.exposure.set(self.examine()?));
        }
        Ok(self.open.exposure.get().and_then(Option::as_ref))
    }

    /// Examines the open directory and those above it. Its path may lead elsewhere, or nowhere, for a moment.
    ///
    /// Another user can move a directory to another parent only if they can write it and both parents. Such a pair of
    /// directory and parent counts as exposed, wherever it is seen, before the move or after it. So what is above a
    /// directory is above it all the time, up to the first one that is exposed.
    fn examine(&self) -> io::Result<Option<Exposure>> {
        let (mut found, mut device, mut paths) = (None, None, self.path.ancestors());
        let mut below: Option<(&Path, u32)> = None;
        for entry in self.upwards()? {
            let (name, stat) = entry?;
            let at = paths.next().unwrap_or(Path::new("/"));
            if let Some((below, mode)) = below.replace((at, stat.st_mode)) {
                Exposure::add(&mut found, Exposure::of_move(below, mode, stat.st_mode));
            }
            Exposure::add(&mut found, Exposure::of(at, stat.st_uid, stat.st_mode));
            if device.replace(stat.st_dev) != Some(stat.st_dev) {
                let system = || fstatfs(openat(self.file(), &name, ENTER | OFlag::O_PATH, Mode::empty())?);
                Exposure::add(&mut found, Exposure::of_file_system(at, stat.st_dev, system)?);
            }
        }
        Ok(found)
    }

    /// This directory and those above it, up to the root directory, wherever they are now; each with its name relative
    /// to this one.
    fn upwards(&self) -> io::Result<impl Iterator<Item = io::Result<(PathBuf, FileStat)>>> {
        let id = |stat: &FileStat| (stat.st_dev, stat.st_ino);
        let root = id(&fstatat(AT_FDCWD, "/", AtFlags::AT_SYMLINK_NOFOLLOW)?);
        let (mut below, mut next) = (None, PathBuf::from("."));
        Ok(std::iter::from_fn(move || {
            let name = next.clone();
            next.push("..");
            match fstatat(self.file(), &name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                // The root directory is its own parent. A bind mount may have the id of its parent, too.
                Ok(stat) if below.replace(id(&stat)) == Some(root) && id(&stat) == root => None,
                Ok(stat) => Some(Ok((name, stat))),
                Err(errno) => Some(Err(failed("look above", &self.path, errno))),
            }
        }))
    }

    /// Whether every user can create its entries, move files into it, or put another directory in its place.
    pub fn is_open_to_all(&self) -> io::Result<bool> {
        let is_exposed_to_all = |exposure: &Exposure| exposure.by == Others::All;
        Ok(ownership::is_open_to_all(&self.metadata()?) || self.exposure()?.is_some_and(is_exposed_to_all))
    }

    /// Whether only `user`, root and the user of this run can have put its entries there.
    pub fn is_changed_only_by(&self, user: u32) -> io::Result<bool> {
        let is_exposed_to_user_only = |exposure: &Exposure| exposure.by == Others::One(user);
        Ok(!is_shared(&self.metadata()?) && self.exposure()?.is_none_or(is_exposed_to_user_only))
    }

    /// Whether only root and the user of this run can have put its entries there.
    pub fn is_changed_only_by_us(&self) -> io::Result<bool> {
        self.is_changed_only_by(geteuid().as_raw())
    }

    /// Whether a user who is neither root nor this one can get here, as far as the modes of the directories above say.
    pub fn is_reachable_by(&self, user: u32) -> io::Result<bool> {
        const SEARCH: u32 = 0o001;
        for entry in self.upwards()? {
            let (_, stat) = entry?;
            if stat.st_uid != user && stat.st_mode & SEARCH == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The metadata of an entry. `None` if it does not exist, or if its name is too long to exist.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(self.file(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Ok(None),
            Err(errno) => Err(failed("look at", &self.path.join(name), errno)),
        }
    }

    /// The file type of an entry, if it exists.
    pub fn kind_of(&self, name: &OsStr) -> io::Result<Option<SFlag>> {
        Ok(self.stat(name)?.map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT))
    }

    /// Whether the entry is this file, by device and inode.
    pub fn contains(&self, name: &OsStr, file: &Metadata) -> io::Result<bool> {
        Ok(self.stat(name)?.is_some_and(|stat| (stat.st_dev, stat.st_ino) == (file.dev(), file.ino())))
    }

    /// Whether this directory is still at its path, without a link on it.
    pub fn is_in_place(&self) -> bool {
        let at_path = match OpenDirectory::without_links(&self.path) {
            Err(Errno::ENOSYS) => OpenDirectory::by_names(&self.path),
            opened => opened.map_err(io::Error::from),
        };
        match (self.metadata(), at_path.and_then(|now| now.metadata())) {
            (Ok(this), Ok(current)) => (this.dev(), this.ino()) == (current.dev(), current.ino()),
            _ => false,
        }
    }

    /// Opens an entry with the flags of [`crate::util::open`].
    pub fn open(&self, name: &OsStr, flags: OFlag, mode: Mode) -> nix::Result<fs_err::File> {
        let file = openat(self.file(), name, CAREFULLY | OFlag::O_CLOEXEC | flags, mode)?;
        Ok(fs_err::File::from_parts(file.into(), self.path.join(name)))
    }
}

/// Adds the operation and the path to the system's error.
pub(crate) fn failed(what: &str, path: &Path, errno: Errno) -> io::Error {
    with_context(&errno.into(), format_args!("failed to {what} {}", path.display()))
}

pub(super) fn with_context(cause: &io::Error, what: fmt::Arguments) -> io::Error {
    io::Error::new(cause.kind(), format!("{what}: {cause}"))
}

/// Another process interferes, and a retry can succeed. [`super::cannot_replace`] recognizes the error by its kind.
pub(super) fn busy(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::WouldBlock, why)
}
