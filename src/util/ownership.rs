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
    metadata.uid() == 0 || metadata.uid() == geteuid().as_raw()
}

/// Whether users other than its owner can change it. In a sticky directory such as /tmp they can create files, but not replace
/// or remove those of others: it does not count.
pub fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & WRITE != 0 && !(metadata.is_dir() && metadata.mode() & STICKY != 0)
}

/// Whether an entry of this directory can be taken for the will of someone who decides there: root, this user, or the
/// directory's owner. Any other user may have put it there only because everyone can.
pub fn is_believable(entry: &Metadata, directory: &Metadata) -> bool {
    is_ours(entry) || entry.uid() == directory.uid()
}

/// Whether every user can create files in this directory.
pub fn is_open_to_all(directory: &Metadata) -> bool {
    directory.mode() & WRITE_BY_ALL != 0
}

/// Whether an entry of this directory counts: where not every user can create files, whoever could put it there decides there.
pub fn counts(entry: &Metadata, directory: &Metadata) -> bool {
    !is_open_to_all(directory) || is_believable(entry, directory)
}

/// The first of this directory (absolute) and those above it that another user can change, and with it everything below; none
/// where there is none. What does not exist yet is passed over. A link among them must be ours, and where it leads is examined,
/// too.
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
            match exposed(&fs_err::canonicalize(above)?)? {
                None if is_ours(&metadata) => {}
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
