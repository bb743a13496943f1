//! The contents of `.NAME.lock`, the directory that locks a file on this node.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::install::OpenDirectory;
use crate::layout::lock_reason;
use crate::util::ownership;

/// The file with the reason.
pub(super) const REASON_FILE: &str = "reason";
/// Every user may read the reason.
pub(super) const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Writes the reason into an open marker. Refuses a marker that another user created, or could have changed, or a
/// directory that may not be a marker.
pub(super) fn write(marker: &OpenDirectory, is_new: bool, parent: &OpenDirectory, text: &str) -> io::Result<()> {
    let metadata = marker.metadata()?;
    if !ownership::is_ours(&metadata) {
        let (path, user) = (marker.path().display(), metadata.uid());
        return Err(io::Error::other(format!("{path} belongs to another user ({user})")));
    }
    if parent.is_open_to_all()? && ownership::is_shared(&metadata) {
        return Err(io::Error::other(format!("other users can write {}", marker.path().display())));
    }
    if is_new {
        marker.drop_acls()?;
    } else if !parent.is_changed_only_by_us()? {
        assert_marker(marker)?;
    } else if marker.is_empty()? {
        marker.drop_acls()?;
        marker.set_mode(DIRECTORY_MODE)?; // Regardless of the umask.
    }
    if marker.stat(REASON_FILE.as_ref())?.is_some() {
        assert_only_reason(marker)?;
        remove_reason(marker)?;
    }
    let mut reason = marker.create_file(REASON_FILE.as_ref())?;
    reason.write_all(text.as_bytes())?;
    reason.set_permissions(PermissionsExt::from_mode(FILE_MODE))?;
    reason.sync_all()?;
    marker.sync()?;
    parent.sync()
}

/// Removes the directory and the reason. Refuses a directory that may not be a marker.
pub(super) fn remove(directory: &OpenDirectory, name: &OsStr) -> io::Result<()> {
    let marker = directory.enter(name)?;
    assert_only_reason(&marker)?;
    if !directory.is_changed_only_by_us()? && !marker.is_empty()? {
        assert_marker(&marker)?;
    }
    remove_reason(&marker)?;
    directory.remove_directory(name)
}

/// Refuses a directory that has other files than the reason.
fn assert_only_reason(marker: &OpenDirectory) -> io::Result<()> {
    match marker.has_only(&[REASON_FILE])? {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is a directory with other files in it", marker.path().display()))),
    }
}

/// Refuses a directory without the text of a marker: a user who can rename entries next to the file can have given its
/// name to another directory of this user.
fn assert_marker(marker: &OpenDirectory) -> io::Result<()> {
    assert_only_reason(marker)?;
    let reason = marker.open(REASON_FILE.as_ref(), OFlag::O_RDONLY, Mode::empty());
    let is_marker = match reason {
        Ok(reason) if reason.metadata()?.is_file() => lock_reason::is_marker(reason)?,
        _ => false,
    };
    match is_marker {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} is not a marker of kvx", marker.path().display()))),
    }
}

fn remove_reason(marker: &OpenDirectory) -> io::Result<()> {
    match marker.remove(REASON_FILE.as_ref()) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
