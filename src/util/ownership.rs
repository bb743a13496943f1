//! Who owns a file or directory, and who else can change it: what decides whether root may believe what it finds there.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Permission bits of group and others to write.
const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
const WRITE_BY_ALL: u32 = 0o002;

/// Whether this user owns it, or root, who could change it anyway.
pub fn is_ours(metadata: &Metadata) -> bool {
    is_ours_by(metadata.uid())
}

/// The same, by its owner.
pub fn is_ours_by(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw()
}

/// Whether a file or directory of this owner and mode can only be changed by this user and root. (If it has an ACL, the group's bits
/// are the most that it grants.)
pub fn is_private(owner: u32, mode: u32) -> bool {
    is_ours_by(owner) && mode & WRITE == 0
}

/// Whether users other than its owner can change it. In a sticky directory such as /tmp they can create files, but not replace
/// or remove those of others: it does not count.
pub fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITE != 0 && !(metadata.is_dir() && metadata.mode() & STICKY != 0)
}

/// Whether a link in this directory can be taken for the will of someone who decides there: root, this user, or the directory's
/// owner. Only where no other user can write: a user moves whatever is in a directory of theirs, root's files and links too, into
/// any other that they can write.
pub fn is_believable(entry: &Metadata, directory: &Metadata) -> bool {
    is_ours(entry) || entry.uid() == directory.uid()
}

/// Whether group or others can create files in this directory, and move them in from elsewhere; sticky or not.
pub fn is_shared(directory: &Metadata) -> bool {
    directory.mode() & WRITE != 0
}

/// Whether every user can create files in this directory, and move them in from elsewhere; sticky or not.
pub fn is_open_to_all(directory: &Metadata) -> bool {
    directory.mode() & WRITE_BY_ALL != 0
}

/// Whether only this user, root and the user of this run can have put there what is in this directory.
pub fn is_only_of(directory: &Metadata, user: u32) -> bool {
    !is_shared(directory) && (directory.uid() == user || is_ours(directory))
}

/// The first of this directory (absolute) and those above it that another user can change, and with it everything below; none
/// where there is none. What does not exist yet is passed over. A link among them must be ours, in a directory that other users
/// cannot write, and where it leads is examined, too.
///
/// # Errors
/// One of them cannot be examined.
pub fn exposed(directory: &Path) -> io::Result<Option<PathBuf>> {
    for above in directory.ancestors() {
        let metadata = match fs_err::symlink_metadata(above) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            let is_shared = above.parent().map(fs_err::metadata).transpose()?.is_some_and(|parent| is_shared(&parent));
            match exposed(&fs_err::canonicalize(above)?)? {
                None if is_ours(&metadata) && !is_shared => {}
                Some(at) => return Ok(Some(at)),
                None => return Ok(Some(above.to_owned())),
            }
        } else if !metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{}: Not a directory", above.display())));
        } else if !is_ours(&metadata) || is_open_to_others(&metadata) {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}
