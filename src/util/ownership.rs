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

/// Whether only `user`, root and the user of this run can have created the entries of this directory.
pub fn is_writable_only_by(directory: &Metadata, user: u32) -> bool {
    !is_shared(directory) && (directory.uid() == user || is_ours(directory))
}

/// The first of an absolute path's directories, from the last one upwards, that another user can change, and with it
/// everything below. `None` if there is none. Missing directories are skipped. A link on the path must belong to root
/// or this user and be in a directory that no other user can write; its destination is examined, too.
///
/// # Errors
/// A directory on the path cannot be examined.
pub fn exposed(directory: &Path) -> io::Result<Option<PathBuf>> {
    for ancestor in directory.ancestors() {
        let metadata = match fs_err::symlink_metadata(ancestor) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            let is_shared =
                ancestor.parent().map(fs_err::metadata).transpose()?.is_some_and(|parent| is_shared(&parent));
            match exposed(&fs_err::canonicalize(ancestor)?)? {
                None if is_ours(&metadata) && !is_shared => {}
                Some(at) => return Ok(Some(at)),
                None => return Ok(Some(ancestor.to_owned())),
            }
        } else if !metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{}: Not a directory", ancestor.display()),
            ));
        } else if !is_ours(&metadata) || is_open_to_others(&metadata) {
            return Ok(Some(ancestor.to_owned()));
        }
    }
    Ok(None)
}
