//! Who owns a file or directory, and which other users can change it. Root trusts a path only after these checks.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;

/// Write permission of group and others.
const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
const WRITE_BY_ALL: u32 = 0o002;

/// Whether this user or root owns the file. Root can change every file anyway.
pub fn is_ours(metadata: &Metadata) -> bool {
    is_our_uid(metadata.uid())
}

/// Whether this user id is root's or this user's own.
pub fn is_our_uid(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw()
}

/// Whether only this user and root can change a file or directory with this owner and mode. (The group bits of a file
/// with an ACL are the ACL's mask, so they cover the ACL, too.)
pub fn is_private(owner: u32, mode: u32) -> bool {
    is_our_uid(owner) && mode & WRITE == 0
}

/// Whether users other than the owner can change the file, or replace entries of the directory. A sticky directory such
/// as /tmp does not count: other users can create files there, but not replace or remove those of others.
pub fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITE != 0 && !(metadata.is_dir() && metadata.mode() & STICKY != 0)
}

/// Whether a link may be followed: root, this user or the directory's owner owns it. The owner of a link proves nothing
/// in a directory that other users can write: a user can move any entry of their own directory there, even one of root.
pub fn is_trusted_link(entry: &Metadata, directory: &Metadata) -> bool {
    is_ours(entry) || entry.uid() == directory.uid()
}

/// Whether group or others can create files in this directory, or move files into it. The sticky bit does not matter.
pub fn is_shared(directory: &Metadata) -> bool {
    directory.mode() & WRITE != 0
}

/// Whether every user can create files in this directory, or move files into it. The sticky bit does not matter.
pub fn is_open_to_all(directory: &Metadata) -> bool {
    directory.mode() & WRITE_BY_ALL != 0
}

/// Users other than root and the user of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// One user.
    One(u32),
    /// Several users, or the members of a group.
    Several,
    /// Every user.
    All,
}

impl Others {
    fn and(self, others: Others) -> Others {
        match (self, others) {
            (one, other) if one == other => one,
            (Others::All, _) | (_, Others::All) => Others::All,
            _ => Others::Several,
        }
    }
}

/// That other users can change a directory of a path, and with it everything below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Such a directory of the path.
    pub at: PathBuf,
    /// The users who can change one of the directories, strictly: a group that can write counts as several users.
    pub by: Others,
    /// The users who own one of the directories, or whom its owner lets write: what a user lets a group write counts as
    /// that user's.
    pub owners: Others,
}

impl Exposure {
    /// Who can change a directory with this owner and mode. The sticky bit keeps others from replacing its entries.
    pub fn of(at: &Path, owner: u32, mode: u32) -> Option<Exposure> {
        let is_open = mode & WRITE != 0 && mode & STICKY == 0;
        let (by, owners) = match is_open {
            true if mode & WRITE_BY_ALL != 0 => (Others::All, Others::All),
            true if is_our_uid(owner) => (Others::Several, Others::Several),
            true => (Others::Several, Others::One(owner)),
            false if is_our_uid(owner) => return None,
            false => (Others::One(owner), Others::One(owner)),
        };
        Some(Exposure { at: at.to_owned(), by, owners })
    }

    /// Adds another directory of the path.
    pub fn add(found: &mut Option<Exposure>, other: Option<Exposure>) {
        match (&mut *found, other) {
            (_, None) => {}
            (None, other) => *found = other,
            (Some(found), Some(other)) => {
                (found.by, found.owners) = (found.by.and(other.by), found.owners.and(other.owners));
            }
        }
    }
}

/// Maximum number of symbolic links, as in the kernel.
const MAX_LINKS: usize = 40;

/// Who else can change the directories of an absolute path, the last one included, and where a link on it leads. `None`
/// if no one else can. A link counts as exposed if another user owns it, or can have put it there. If a name does not
/// exist, the users who can create it count.
///
/// # Errors
/// A directory on the path cannot be examined.
pub fn exposure(path: &Path) -> io::Result<Option<Exposure>> {
    let mut found = None;
    let mut current = PathBuf::from("/");
    let root = fs_err::symlink_metadata(&current)?;
    Exposure::add(&mut found, Exposure::of(&current, root.uid(), root.mode()));
    // The remaining names, the next one last.
    let mut remaining: Vec<OsString> = names(path);
    let mut links = 0_usize;
    while let Some(name) = remaining.pop() {
        if name == ".." {
            current.pop();
            continue;
        }
        let next = current.join(&name);
        // Who can create the entry or move one there: the sticky bit does not keep others from that.
        let others =
            || fs_err::metadata(&current).map(|above| Exposure::of(&next, above.uid(), above.mode() & !STICKY));
        let metadata = match fs_err::symlink_metadata(&next) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Exposure::add(&mut found, others()?);
                return Ok(found);
            }
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            links = links.saturating_add(1);
            if links > MAX_LINKS {
                return Err(io::Error::other(format!("{}: too many symbolic links", path.display())));
            }
            Exposure::add(&mut found, others()?);
            Exposure::add(&mut found, Exposure::of(&next, metadata.uid(), 0));
            let to = fs_err::read_link(&next)?;
            if to.is_absolute() {
                current = PathBuf::from("/");
            }
            remaining.extend(names(&to));
        } else if metadata.is_dir() {
            Exposure::add(&mut found, Exposure::of(&next, metadata.uid(), metadata.mode()));
            current = next;
        } else {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{}: Not a directory", next.display())));
        }
    }
    Ok(found)
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let names =
        path.components().rev().filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
    names.map(|name| name.as_os_str().to_owned()).collect()
}
