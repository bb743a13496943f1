//! Resolves a path to an open directory. A symbolic link is followed only if root, this user or the owner of the link's
//! directory owns it, and if it does not lead into /proc. If one other user can have put it there, it must lead to a
//! directory of that user. If several can, it is not followed: they can move links of root, too.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::cannot_replace;
use super::directory::{OpenDirectory, failed};
use crate::error::{Error, Result, Status};
use crate::util::ownership::{Exposure, Others, is_open_to_all, is_ours, is_shared, is_trusted_link};

/// Maximum number of symbolic links, as in the kernel.
pub(super) const MAX_LINKS: usize = 40;

/// What to do if directories above the file do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// Fail.
    MustExist,
    /// `--mkdir`: create them with the file.
    Create,
}

/// A resolved directory, which may not exist yet.
#[derive(Clone, Debug)]
pub(super) struct ResolvedDirectory {
    /// The last existing directory on the path.
    pub directory: OpenDirectory,
    /// Names of the missing directories below it.
    pub missing: Vec<OsString>,
}

impl ResolvedDirectory {
    /// Opens the directory, if it exists by now.
    pub fn open_existing(&self) -> io::Result<Option<OpenDirectory>> {
        let mut directory = self.directory.clone();
        for name in &self.missing {
            match directory.enter(name) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                entered => directory = entered?,
            }
        }
        Ok(Some(directory))
    }

    /// The canonical path, also of a directory that does not exist yet.
    pub fn path(&self) -> PathBuf {
        self.missing.iter().fold(self.directory.path().to_owned(), |path, name| path.join(name))
    }
}

/// A link that may be followed.
pub(super) struct Link {
    pub to: PathBuf,
    /// `None` if only root or this user can have put it there.
    pub restriction: Option<LinkRestriction>,
}

/// A link that one other user can have put there, no matter who owns it: in their directory, or in one that they can
/// replace by another. So kvx must not create a file through it, or change an owner, where that user could not put a
/// file.
#[derive(Debug)]
pub(super) struct LinkRestriction {
    link: PathBuf,
    user: u32,
}

impl LinkRestriction {
    /// Checks that the link leads to a directory of the same user, or to one that only this user can replace, too.
    pub fn check(&self, resolved: &ResolvedDirectory) -> Result<()> {
        let io = |cause: io::Error| cannot_replace(&cause);
        let directory = &resolved.directory;
        let owner = directory.metadata().map_err(io)?.uid();
        let is_same_user = |exposure: &Exposure| exposure.by == Others::One(self.user);
        if owner == self.user || directory.exposure().map_err(io)?.is_some_and(is_same_user) {
            return Ok(());
        }
        Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: user {} can have put it there, and it leads to {}, which belongs to user {owner}; name the file itself with -f, or remove it",
            self.link.display(),
            self.user,
            resolved.path().display()
        )))
    }
}

/// Resolves an absolute path. The restrictions of the links on the way are added to `restrictions`.
pub(super) fn directory(
    path: &Path,
    parents: Parents,
    restrictions: &mut Vec<LinkRestriction>,
) -> Result<ResolvedDirectory> {
    // Most paths contain no link: one system call is enough. The walk handles all other cases and errors.
    let resolved = match OpenDirectory::without_links(path) {
        Ok(directory) => ResolvedDirectory { directory, missing: Vec::new() },
        Err(_) => walk(path, parents, restrictions)?,
    };
    // /proc/1/fd leads there without a link.
    if resolved.directory.path().starts_with("/proc") {
        Err(leads_into_proc(resolved.directory.path()))
    } else {
        Ok(resolved)
    }
}

/// Resolves the path name by name.
fn walk(given: &Path, parents: Parents, restrictions: &mut Vec<LinkRestriction>) -> Result<ResolvedDirectory> {
    let mut current = OpenDirectory::root().map_err(|cause| cannot_replace(&cause))?;
    let mut missing = Vec::new();
    // The remaining names, the next one last, and whether each comes from a link.
    let mut remaining = Vec::new();
    push(&mut remaining, given, false);
    let mut links = 0usize;
    while let Some((name, from_link)) = remaining.pop() {
        if !missing.is_empty() {
            if name == ".." {
                return Err(missing_error(given, "create it first")); // The parent of a missing directory is unknown.
            }
            missing.push(name);
            continue;
        }
        match step(&current, &name)? {
            Step::Into(directory) => current = directory,
            Step::Link(Link { to, restriction }) => {
                restrictions.extend(restriction);
                links = links.saturating_add(1);
                if links > MAX_LINKS {
                    return Err(cannot_replace(&failed("open directory", given, Errno::ELOOP)));
                }
                if to.is_absolute() {
                    current = OpenDirectory::root().map_err(|cause| cannot_replace(&cause))?;
                }
                push(&mut remaining, &to, true);
            }
            Step::Missing if parents == Parents::MustExist => {
                return Err(missing_error(given, "create it first, or give kvx-out --mkdir"));
            }
            Step::Missing if from_link => {
                return Err(Status::CannotWrite.error(format!(
                    "the directory {} cannot be created: it is, or is in, a link to nothing; create what the link names, or take it away",
                    given.display()
                )));
            }
            Step::Missing => missing.push(name),
        }
    }
    Ok(ResolvedDirectory { directory: current, missing })
}

/// Pushes the names of a path onto the remaining ones.
fn push(remaining: &mut Vec<(OsString, bool)>, path: &Path, from_link: bool) {
    let names =
        path.components().rev().filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
    remaining.extend(names.map(|name| (name.as_os_str().to_owned(), from_link)));
}

enum Step {
    Into(OpenDirectory),
    Link(Link),
    Missing,
}

fn step(current: &OpenDirectory, name: &OsStr) -> Result<Step> {
    if let Some(link) = link(current, name)? {
        return Ok(Step::Link(link));
    }
    match current.enter(name) {
        Ok(directory) => Ok(Step::Into(directory)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => Ok(Step::Missing),
        Err(cause) => Err(cannot_replace(&cause)),
    }
}

/// Reads an entry that is a link.
///
/// # Errors
/// 73 if it must not be followed.
pub(super) fn link(directory: &OpenDirectory, name: &OsStr) -> Result<Option<Link>> {
    let path = directory.path().join(name);
    match readlinkat(directory.file(), name) {
        Ok(_) => {}
        Err(Errno::EINVAL | Errno::ENOENT | Errno::ENAMETOOLONG) => return Ok(None),
        Err(errno) => return Err(cannot_replace(&failed("read link", &path, errno))),
    }
    // Owner and destination are read from one descriptor, so they belong to the same link.
    let io = |cause: io::Error| cannot_replace(&cause);
    let link = directory.open(name, OFlag::O_PATH, Mode::empty());
    let link = link.map_err(|errno| cannot_replace(&failed("open link", &path, errno)))?;
    let metadata = link.metadata().map_err(io)?;
    if fstatfs(directory.file()).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC) {
        return Err(leads_into_proc(&path));
    }
    let parent = directory.metadata().map_err(io)?;
    if !is_trusted_link(&metadata, &parent) {
        return Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: it belongs to user {}, who owns neither its directory nor this run; name another file with -f, or remove it",
            path.display(),
            metadata.uid()
        )));
    }
    let unfollowed = |why: String| {
        let path = path.display();
        Status::CannotWrite.error(format!(
            "the symbolic link {path} is not followed: {why}, and so can have put it there; name the file itself with -f"
        ))
    };
    if is_open_to_all(&parent) || (is_ours(&parent) && is_shared(&parent)) {
        let mode = parent.mode() & 0o7777;
        return Err(unfollowed(format!("other users can write its directory (mode {mode:04o})")));
    }
    let user = match directory.exposure().map_err(io)? {
        None => None,
        Some(Exposure { by: Others::One(user), .. }) => Some(*user),
        Some(Exposure { at, .. }) => return Err(unfollowed(format!("other users can change {}", at.display()))),
    };
    let to = readlinkat(&link, "").map_err(|errno| cannot_replace(&failed("read link", &path, errno)))?;
    let restriction = user.map(|user| LinkRestriction { link: path, user });
    Ok(Some(Link { to: to.into(), restriction }))
}

/// The links in /proc lead to open files, which cannot be renamed over.
fn leads_into_proc(path: &Path) -> Error {
    Status::CannotWrite.error(format!(
        "it leads to {}, into the files of the kernel, where nothing can be installed; for stdout, give -f -",
        path.display()
    ))
}

fn missing_error(directory: &Path, remedy: &str) -> Error {
    let remedy = if directory.is_symlink() { "it is a link to nothing: create that, or take it away" } else { remedy };
    Status::CannotWrite.error(format!("the directory {} does not exist; {remedy}", directory.display()))
}
