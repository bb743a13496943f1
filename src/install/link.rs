//! Which symbolic links are followed: only if root, this user or the owner of the link's directory owns it, and if it does
//! not lead into /proc. If one other user can have put it there, it must lead where that user could put a file. If
//! several can, it is not followed: they can move links of root, too.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::cannot_replace;
use super::directory::{OpenDirectory, failed};
use super::resolve::ResolvedDirectory;
use crate::error::{Error, Result, Status};
use crate::util::ownership::{Exposure, Others, is_shared, is_trusted_link};

/// A link that may be followed.
pub(super) struct Link {
    pub to: PathBuf,
    /// `None` if only root or this user can have put it there.
    pub restriction: Option<LinkRestriction>,
}

/// Maximum number of symbolic links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;

/// The links that were followed on the way to a file.
#[derive(Default)]
pub(super) struct Followed {
    count: usize,
    /// Where they may lead.
    pub restrictions: Vec<LinkRestriction>,
}

impl Followed {
    /// Counts a link.
    ///
    /// # Errors
    /// `ELOOP`: there were too many.
    pub fn add(&mut self, restriction: Option<LinkRestriction>) -> nix::Result<()> {
        self.count = self.count.saturating_add(1);
        self.restrictions.extend(restriction);
        if self.count > MAX_LINKS { Err(Errno::ELOOP) } else { Ok(()) }
    }
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
    /// Checks that the link leads where the same user could put a file: to a directory that belongs to them, and that
    /// they can reach.
    pub fn check(&self, resolved: &ResolvedDirectory) -> Result<()> {
        let io = |cause: io::Error| cannot_replace(&cause);
        let directory = &resolved.directory;
        let owner = directory.metadata().map_err(io)?.uid();
        // That a user can replace a directory is no permission to write it: it may be mounted there, or elsewhere, too.
        let is_theirs = owner == self.user;
        if is_theirs && directory.is_reachable_by(self.user).map_err(io)? {
            return Ok(());
        }
        let whose = match is_theirs {
            true => "where that user cannot get".to_owned(),
            false => format!("which belongs to user {owner}"),
        };
        Err(Status::CannotWrite.error(format!(
            "the symbolic link {} is not followed: user {} can have put it there, and it leads to {}, {whose}; name the file itself with -f, or remove it",
            self.link.display(),
            self.user,
            resolved.path().display()
        )))
    }
}

/// Reads an entry that is a link.
///
/// # Errors
/// 73 if it must not be followed.
pub(super) fn read(directory: &OpenDirectory, name: &OsStr) -> Result<Option<Link>> {
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
    if is_shared(&parent) {
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
pub(super) fn leads_into_proc(path: &Path) -> Error {
    Status::CannotWrite.error(format!(
        "it leads to {}, into the files of the kernel, where nothing can be installed; for stdout, give -f -",
        path.display()
    ))
}
