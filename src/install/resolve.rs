//! From a path as it is given to an open directory: symbolic links are followed, but only those that someone who decides in
//! their directory has put there, and none into /proc. Another user's lead only to where that user decides, too. In a directory of
//! root's that other users can write, none is followed: they can have moved one of root's there.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::cannot;
use super::directory::{OpenDirectory, failed};
use crate::error::{Error, Result, Status};
use crate::util::ownership::{is_believable, is_ours, is_shared};

/// As many symbolic links as the kernel follows.
pub(super) const LINKS: usize = 40;

/// Whether the directories above the file are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// They must be.
    MustExist,
    /// `--mkdir`: they are created with the file.
    Create,
}

/// A directory, as far as it exists.
#[derive(Clone, Debug)]
pub(super) struct ResolvedDirectory {
    /// The last one that exists.
    pub directory: OpenDirectory,
    /// Those below it that do not, down to the one that was asked for.
    pub missing: Vec<OsString>,
}

impl ResolvedDirectory {
    /// The directory, if it exists by now.
    pub fn now(&self) -> io::Result<Option<OpenDirectory>> {
        let mut directory = self.directory.clone();
        for name in &self.missing {
            match directory.enter(name) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                entered => directory = entered?,
            }
        }
        Ok(Some(directory))
    }

    /// Its canonical path; where it does not exist, the one that it will have.
    pub fn path(&self) -> PathBuf {
        self.missing.iter().fold(self.directory.path().to_owned(), |path, name| path.join(name))
    }
}

/// A link that may be followed.
pub(super) struct Link {
    pub to: PathBuf,
    /// None where root or this user decides.
    pub bound: Option<Bound>,
}

/// A link in a directory of another user's. Whoever made it, that user chose its name, and so where the file is: it must not
/// become a file, or get an owner, where that user could not have put one.
#[derive(Debug)]
pub(super) struct Bound {
    link: PathBuf,
    user: u32,
}

impl Bound {
    /// It has led to a directory of that user's.
    pub fn check(&self, found: &ResolvedDirectory) -> Result<()> {
        let owner = found.directory.metadata().map_err(|cause| cannot(&cause))?.uid();
        if owner == self.user {
            return Ok(());
        }
        Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: it is in a directory of user {}, and leads to {}, which belongs to user {owner}; name the file itself with -f, or remove it",
            self.link.display(),
            self.user,
            found.path().display()
        )))
    }
}

/// The directory at an absolute path; of the links on the way, those that are bound are added.
pub(super) fn directory(path: &Path, parents: Parents, bound: &mut Vec<Bound>) -> Result<ResolvedDirectory> {
    // Mostly there is no link in it: then that is all. Whatever else is wrong, the walk finds out.
    let found = match OpenDirectory::without_links(path) {
        Ok(directory) => ResolvedDirectory { directory, missing: Vec::new() },
        Err(_) => walk(path, parents, bound)?,
    };
    // By a number, without a link: /proc/1/fd.
    if found.directory.path().starts_with("/proc") {
        Err(leads_to_a_descriptor(found.directory.path()))
    } else {
        Ok(found)
    }
}

/// The same, one name after the other.
fn walk(given: &Path, parents: Parents, bound: &mut Vec<Bound>) -> Result<ResolvedDirectory> {
    let mut here = OpenDirectory::root().map_err(|cause| cannot(&cause))?;
    let mut missing = Vec::new();
    // What is left of it, the next one last; and whether a link says so.
    let mut left = Vec::new();
    push(&mut left, given, false);
    let mut links = 0usize;
    while let Some((name, of_link)) = left.pop() {
        if !missing.is_empty() {
            if name == ".." {
                return Err(is_missing(given, "create it first")); // What that leads to is only known of what is there.
            }
            missing.push(name);
            continue;
        }
        match step(&here, &name)? {
            Step::Into(directory) => here = directory,
            Step::Link(Link { to, bound: of_another }) => {
                bound.extend(of_another);
                links = links.saturating_add(1);
                if links > LINKS {
                    return Err(cannot(&failed("open directory", given, Errno::ELOOP)));
                }
                if to.is_absolute() {
                    here = OpenDirectory::root().map_err(|cause| cannot(&cause))?;
                }
                push(&mut left, &to, true);
            }
            Step::Nothing if parents == Parents::MustExist => {
                return Err(is_missing(given, "create it first, or give kvx-out --mkdir"));
            }
            Step::Nothing if of_link => {
                return Err(Status::CannotWrite.error(format!(
                    "the directory {} cannot be created: it is, or is in, a link to nothing; create what the link names, or take it away",
                    given.display()
                )));
            }
            Step::Nothing => missing.push(name),
        }
    }
    Ok(ResolvedDirectory { directory: here, missing })
}

/// Puts the names of a path on top of those that are left.
fn push(left: &mut Vec<(OsString, bool)>, path: &Path, of_link: bool) {
    let names = path.components().rev().filter(|is| matches!(is, Component::Normal(_) | Component::ParentDir));
    left.extend(names.map(|name| (name.as_os_str().to_owned(), of_link)));
}

enum Step {
    Into(OpenDirectory),
    Link(Link),
    Nothing,
}

fn step(here: &OpenDirectory, name: &OsStr) -> Result<Step> {
    if let Some(link) = link(here, name)? {
        return Ok(Step::Link(link));
    }
    match here.enter(name) {
        Ok(directory) => Ok(Step::Into(directory)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => Ok(Step::Nothing),
        Err(cause) => Err(cannot(&cause)),
    }
}

/// Where an entry leads, if it is a link: one that may be followed.
pub(super) fn link(directory: &OpenDirectory, name: &OsStr) -> Result<Option<Link>> {
    let path = directory.path().join(name);
    match readlinkat(directory.file(), name) {
        Ok(_) => {}
        Err(Errno::EINVAL | Errno::ENOENT | Errno::ENAMETOOLONG) => return Ok(None),
        Err(errno) => return Err(cannot(&failed("read link", &path, errno))),
    }
    // The link itself, so that whose it is and where it leads are of the same one.
    let io = |cause: io::Error| cannot(&cause);
    let link = directory.open(name, OFlag::O_PATH, Mode::empty());
    let link = link.map_err(|errno| cannot(&failed("open link", &path, errno)))?;
    let is = link.metadata().map_err(io)?;
    if fstatfs(directory.file()).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC) {
        return Err(leads_to_a_descriptor(&path));
    }
    let above = directory.metadata().map_err(io)?;
    if !is_believable(&is, &above) {
        return Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: it belongs to user {}, who owns neither its directory nor this run; name another file with -f, or remove it",
            path.display(),
            is.uid()
        )));
    }
    if is_ours(&above) && is_shared(&above) {
        return Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: other users can write its directory (mode {:04o}), and so can have put it there; name the file itself with -f",
            path.display(),
            above.mode() & 0o7777
        )));
    }
    let to = readlinkat(&link, "").map_err(|errno| cannot(&failed("read link", &path, errno)))?;
    let bound = (!is_ours(&above)).then(|| Bound { link: path, user: above.uid() });
    Ok(Some(Link { to: to.into(), bound }))
}

/// What a process has open is never renamed over.
fn leads_to_a_descriptor(path: &Path) -> Error {
    Status::CannotWrite.error(format!(
        "it leads to {}, into the files of the kernel, where nothing can be installed; for stdout, give -f -",
        path.display()
    ))
}

fn is_missing(directory: &Path, remedy: &str) -> Error {
    let remedy = if directory.is_symlink() { "it is a link to nothing: create that, or take it away" } else { remedy };
    Status::CannotWrite.error(format!("the directory {} does not exist; {remedy}", directory.display()))
}
