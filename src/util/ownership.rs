//! Who owns a file or directory, and which other users can change it. Root trusts a path only after these checks.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    /// One user. A directory of theirs that they let a group write counts as theirs alone.
    One(u32),
    /// Several users, or the members of a group.
    Several,
    /// Every user.
    All,
}

impl Others {
    /// Who can change a directory of a path, and with it everything below.
    fn of(directory: &Metadata) -> Option<Others> {
        match is_open_to_others(directory) {
            true if is_open_to_all(directory) => Some(Others::All),
            _ if !is_ours(directory) => Some(Others::One(directory.uid())),
            true => Some(Others::Several),
            false => None,
        }
    }

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
    /// The last such directory of the path.
    pub at: PathBuf,
    /// All users who can change one of the directories.
    pub by: Others,
}

/// Who else can change an absolute path's directories, the last one included. `None` if no one else can. Missing directories
/// are skipped. A link on the path must belong to root or this user and be in a directory that no other user can write;
/// its destination is examined, too.
///
/// # Errors
/// A directory on the path cannot be examined.
pub fn exposure(directory: &Path) -> io::Result<Option<Exposure>> {
    let mut found: Option<Exposure> = None;
    let mut add = |at: PathBuf, by: Others| match &mut found {
        Some(found) => found.by = found.by.and(by),
        None => found = Some(Exposure { at, by }),
    };
    for ancestor in directory.ancestors() {
        let metadata = match fs_err::symlink_metadata(ancestor) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            if let Some(Exposure { at, by }) = exposure(&fs_err::canonicalize(ancestor)?)? {
                add(at, by);
            }
            let parent = ancestor.parent().map(fs_err::metadata).transpose()?;
            match parent {
                _ if !is_ours(&metadata) => add(ancestor.to_owned(), Others::One(metadata.uid())),
                Some(parent) if is_open_to_all(&parent) => add(ancestor.to_owned(), Others::All),
                Some(parent) if is_shared(&parent) => add(ancestor.to_owned(), Others::Several),
                _ => {}
            }
        } else if !metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{}: Not a directory", ancestor.display()),
            ));
        } else if let Some(by) = Others::of(&metadata) {
            add(ancestor.to_owned(), by);
        }
    }
    Ok(found)
}
