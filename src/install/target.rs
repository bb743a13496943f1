//! The file that is to be installed: where it is, and what is there now.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};

use super::directory::{OpenDirectory, failed};
use super::resolve::{self, Bound, LINKS, ResolvedDirectory};
use super::{Installed, Parents, cannot, hash, temporary};
use crate::error::{Error, Result, Status};

/// A file to be replaced, with symbolic links followed: the target of a link is replaced, not the link.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    name: OsString,
    found: ResolvedDirectory,
    /// As it was named, where that is a link.
    named: Option<Rc<Target>>,
}

impl Target {
    /// Follows `path`. The file need not exist, and its directory only if nobody is to create it.
    ///
    /// # Errors
    /// 73.
    pub fn resolve(path: &Path, parents: Parents) -> Result<Target> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Status::CannotWrite.error("that is a directory's name; give -f a file's"));
        }
        let mut path = std::path::absolute(path).map_err(|cause| cannot(&cause))?;
        let (mut bound, mut named) = (Vec::new(), None);
        for _ in 0..LINKS {
            let target = Target::at(&path, parents, &mut bound)?;
            let directory = target.directory()?;
            let link = directory.as_ref().map(|directory| resolve::link(directory, &target.name)).transpose()?;
            match (directory, link.flatten()) {
                (Some(directory), Some(link)) => {
                    bound.extend(link.bound);
                    path = directory.path().join(link.to);
                    named.get_or_insert_with(|| Rc::new(target));
                }
                _ => return Target { named, ..target }.if_within(&bound),
            }
        }
        Err(cannot(&failed("open file", &path, Errno::ELOOP)))
    }

    /// An absolute path itself, even if it is a link.
    ///
    /// # Errors
    /// 73.
    pub fn itself(path: &Path, parents: Parents) -> Result<Target> {
        let mut bound = Vec::new();
        Target::at(path, parents, &mut bound)?.if_within(&bound)
    }

    fn at(path: &Path, parents: Parents, bound: &mut Vec<Bound>) -> Result<Target> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Status::CannotWrite.error("that is no file's name; give -f one"));
        };
        let found = resolve::directory(parent, parents, bound)?;
        Ok(Target { path: found.path().join(name), name: name.to_owned(), found, named: None })
    }

    /// As it was named: if that is a link, the link itself.
    pub fn named(&self) -> &Target {
        self.named.as_deref().unwrap_or(self)
    }

    /// Another file in its directory.
    pub(crate) fn neighbour(&self, name: OsString) -> Target {
        Target { path: self.path.with_file_name(&name), name, found: self.found.clone(), named: None }
    }

    /// It is where every link that led to it may lead.
    fn if_within(self, bound: &[Bound]) -> Result<Target> {
        bound.iter().try_for_each(|link| link.check(&self.found)).map(|()| self)
    }

    /// The canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn found(&self) -> &ResolvedDirectory {
        &self.found
    }

    /// Its directory, if that exists by now.
    pub(crate) fn directory(&self) -> Result<Option<OpenDirectory>> {
        self.found.now().map_err(|cause| cannot(&cause))
    }

    /// What is there now; none where there is nothing. What is larger than `largest` is not read, and what cannot be read is
    /// something else than is wanted.
    ///
    /// # Errors
    /// 73 where it is no regular file, or this user may not read it.
    pub fn installed(&self, largest: usize) -> Result<Option<Installed>> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        // To open a device may do something to it.
        match directory.kind_of(&self.name).map_err(unreadable)? {
            Some(kind) => self.assert_regular(kind)?,
            None => return Ok(None),
        }
        let fails = |errno| unreadable(failed("open file", &self.path, errno));
        let mut file = match directory.open(&self.name, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            // What this user, or this machine, is in want of, and what was swapped for a link a moment ago.
            Err(
                errno @ (Errno::EACCES | Errno::EPERM | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ELOOP),
            ) => return Err(fails(errno)),
            // Somebody has a lease on it, or its disk is broken.
            Err(_) => {
                let file = directory.open(&self.name, OFlag::O_PATH, Mode::empty()).map_err(fails)?;
                let is = file.metadata().map_err(unreadable)?;
                self.assert_regular(kind_of(&is))?;
                return Installed::unreadable(&is, &directory).map(Some);
            }
        };
        let is = file.metadata().map_err(unreadable)?;
        self.assert_regular(kind_of(&is))?;
        let checksum = if usize::try_from(is.len()).is_ok_and(|length| length <= largest) {
            // Of what was there at the look, should it grow.
            match hash(&mut (&mut file).take(is.len())) {
                Ok(checksum) => Some(checksum),
                Err(_) => return Installed::unreadable(&is, &directory).map(Some),
            }
        } else {
            None
        };
        Installed::new(checksum, &is, file, &directory).map(Some)
    }

    /// Takes away what a killed run left beside the file; says where it was.
    ///
    /// # Errors
    /// 73, and 75 where another run is just writing it.
    pub fn sweep(&self) -> Result<Option<PathBuf>> {
        let Some(directory) = self.directory()? else { return Ok(None) };
        let temporary = self.temporary();
        let was_there = temporary::sweep(&directory, &temporary).map_err(|cause| cannot(&cause))?;
        Ok(was_there.then(|| directory.path().join(temporary)))
    }

    fn assert_regular(&self, kind: SFlag) -> Result<()> {
        let kind = match kind {
            SFlag::S_IFREG => return Ok(()),
            SFlag::S_IFDIR => "a directory",
            SFlag::S_IFIFO => "a FIFO",
            SFlag::S_IFSOCK => "a socket",
            SFlag::S_IFLNK => "a symbolic link that was not there a moment ago",
            _ => "a device",
        };
        Err(Status::CannotWrite.error(format!(
            "{} is {kind}, and only regular files are replaced; name another with -f",
            self.path.display()
        )))
    }

    /// Of the directory in which it is prepared: hidden, and, since it is a directory, passed over by whatever reads all files
    /// of one: run-parts, cron, dnsmasq, nginx, sudo. Also by logrotate, which would read a file of this name: it passes over
    /// names that end with `~`, but not if they begin with a dot.
    pub(super) fn temporary(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(".kvx~");
        name
    }
}

fn kind_of(is: &Metadata) -> SFlag {
    use std::os::unix::fs::MetadataExt;
    SFlag::from_bits_truncate(is.mode()) & SFlag::S_IFMT
}

fn unreadable(cause: io::Error) -> Error {
    Status::CannotWrite.error(format!("what is there cannot be read: {cause}; run as a user who may, or move it away"))
}
