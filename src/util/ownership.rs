//! Who owns a file or directory, and which other users can change it. Root trusts a path only after these checks.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use nix::sys::statfs::{FUSE_SUPER_MAGIC, Statfs};
use nix::unistd::geteuid;

/// Write permission of group and others.
const WRITE: u32 = 0o022;
pub(super) const STICKY: u32 = 0o1000;
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
    /// The users who can change one of the directories.
    pub by: Others,
}

impl Exposure {
    /// Who can change a directory with this owner and mode. The sticky bit keeps others from replacing its entries, but
    /// not from moving the directory itself, see [`Exposure::of_move`].
    pub fn of(at: &Path, owner: u32, mode: u32) -> Option<Exposure> {
        let is_open = mode & WRITE != 0 && mode & STICKY == 0;
        let by = match is_open {
            true if mode & WRITE_BY_ALL != 0 => Others::All,
            true => Others::Several,
            false if is_our_uid(owner) => return None,
            false => Others::One(owner),
        };
        Some(Exposure { at: at.to_owned(), by })
    }

    /// Who can have moved a directory into its parent, by the modes of both. The kernel lets a user do that who can write
    /// the directory (its `..` changes), the new parent and the old one; and, if the old one is sticky, who owns that or
    /// the directory. The old parent may have been the user's own, and may be gone. So the sticky bit proves nothing.
    pub fn of_move(at: &Path, mode: u32, parent: u32) -> Option<Exposure> {
        let by = match (mode & WRITE, parent & WRITE) {
            (0, _) | (_, 0) => return None,
            (mode, parent) if mode & parent & WRITE_BY_ALL != 0 => Others::All,
            // The group of one may be another group than that of the other: then this is too careful.
            _ => Others::Several,
        };
        Some(Exposure { at: at.to_owned(), by })
    }

    /// Who can change everything in the file system with this device: the user who serves it, if that is a process of a
    /// user (FUSE). What it says of owners and modes is up to that user.
    pub fn of_file_system(
        at: &Path,
        device: u64,
        system: impl FnOnce() -> nix::Result<Statfs>,
    ) -> io::Result<Option<Exposure>> {
        // Only file systems without a block device have the major number 0.
        if major(device) != 0 || system()?.filesystem_type() != FUSE_SUPER_MAGIC {
            return Ok(None);
        }
        let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
        Ok(server(&mounts, device).and_then(|user| Exposure::of(at, user, 0)))
    }

    /// Adds another directory of the path.
    pub fn add(found: &mut Option<Exposure>, other: Option<Exposure>) {
        match (&mut *found, other) {
            (_, None) => {}
            (None, other) => *found = other,
            (Some(found), Some(other)) => found.by = found.by.and(other.by),
        }
    }
}

/// The user who serves the file system with this device, by `/proc/self/mountinfo` (proc(5)). `None` if it is not said,
/// as for virtiofs, which the host serves.
fn server(mounts: &str, device: u64) -> Option<u32> {
    let device = format!("{}:{}", major(device), minor(device));
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(device.as_str());
    let options = mounts.lines().filter(of_device).filter_map(|line| line.rsplit(' ').next());
    options.flat_map(|options| options.split(',')).find_map(|option| option.strip_prefix("user_id=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::server;

    #[test]
    fn a_file_system_of_a_user_is_known_by_its_mount() {
        let mounts = "\
            22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
            61 22 0:53 / /tmp/x rw,nosuid,nodev shared:9 - fuse.sshfs a b rw,user_id=4242,group_id=4242,allow_other\n\
            62 22 0:54 / /mnt rw - fuse.glusterfs c rw,user_id=0,group_id=0\n\
            63 22 0:55 / /host rw - virtiofs d rw\n";
        assert_eq!([53, 54, 55, 56].map(|minor| server(mounts, makedev(0, minor))), [Some(4242), Some(0), None, None]);
    }
}
