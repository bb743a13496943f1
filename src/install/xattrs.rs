//! SELinux label and POSIX ACL. The new file gets those of the old one, if the file system supports them.

use std::io::{self, ErrorKind};
use std::path::Path;

use xattr::FileExt;

const LABEL: &str = "security.selinux";
/// Exists if SELinux is enabled.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// Tags of ACL entries: their lower byte.
const GROUP: u8 = 0x04;
const MASK: u8 = 0x10;
const OTHER: u8 = 0x20;

/// Copies label and ACL of the old file, which has the same owner and group, to the new one.
///
/// If the old file has no label, the new one keeps the label that the system gave it. If the old file has no ACL, the
/// new one loses an ACL that it got from the directory's default: that could grant access to users whom the old file
/// denied it.
pub(super) fn copy(old: &fs_err::File, new: &fs_err::File) -> io::Result<()> {
    if let Some(label) = get(old, LABEL)?.filter(|label| get(new, LABEL).ok().flatten().as_ref() != Some(label)) {
        match new.file().set_xattr(LABEL, &label) {
            // SELinux is disabled: the label is a leftover without effect.
            Err(_) if !Path::new(SELINUX).exists() => {}
            set => set.map_err(|cause| cannot_keep("SELinux label", &String::from_utf8_lossy(&label), &cause))?,
        }
    }
    match get(old, ACL)? {
        Some(acl) => {
            new.file().set_xattr(ACL, &restricted(acl)).map_err(|cause| cannot_keep("ACL", "see getfacl", &cause))
        }
        None => drop_acl(new),
    }
}

/// Whether a file has an ACL.
pub(super) fn has_acl(file: &fs_err::File) -> io::Result<bool> {
    get(file, ACL).map(|acl| acl.is_some())
}

/// Removes a file's ACL, if it has one. Its group bits then grant what was only the ACL's mask.
pub(super) fn drop_acl(file: &fs_err::File) -> io::Result<()> {
    remove_acl(file, ACL)
}

/// Removes the default ACL, which new files in the directory would get.
pub(super) fn drop_default_acl(directory: &fs_err::File) -> io::Result<()> {
    remove_acl(directory, DEFAULT_ACL)
}

fn remove_acl(file: &fs_err::File, name: &str) -> io::Result<()> {
    match get(file, name)? {
        Some(_) => file
            .file()
            .remove_xattr(name)
            .map_err(|cause| io::Error::other(format!("its ACL (see getfacl) cannot be removed: {cause}"))),
        None => Ok(()),
    }
}

/// The mode for a file that loses its ACL, such that no user gains access: the group bits of a file with an ACL are
/// only the ACL's mask, so they are reduced to what the ACL grants the group.
pub(super) fn without_acl(file: &fs_err::File, mode: u32) -> io::Result<u32> {
    let Some(acl) = get(file, ACL)? else { return Ok(mode) };
    let group = entries(&acl).find_map(|entry| match entry {
        [GROUP, 0, permissions, ..] => Some(u32::from(*permissions)),
        _ => None,
    });
    Ok(mode & (0o707 | (group.unwrap_or(0) & 0o7) << 3))
}

/// Clears the mask and the permissions of others. The mode is set next, sets both anew (acl(5)), and may be narrower
/// than the old one.
///
/// The format is that of the kernel's `posix_acl_xattr.h`: a version, and entries of tag, permissions and id.
fn restricted(mut acl: Vec<u8>) -> Vec<u8> {
    for entry in acl.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        if let [MASK | OTHER, 0, permissions, ..] = entry {
            *permissions = 0;
        }
    }
    acl
}

fn entries(acl: &[u8]) -> impl Iterator<Item = &[u8]> {
    acl.get(4..).unwrap_or_default().chunks_exact(8)
}

fn get(file: &fs_err::File, name: &str) -> io::Result<Option<Vec<u8>>> {
    match file.file().get_xattr(name) {
        Err(cause) if cause.kind() == ErrorKind::Unsupported => Ok(None),
        read => read.map_err(|cause| io::Error::other(format!("its attribute {name} cannot be read: {cause}"))),
    }
}

fn cannot_keep(what: &str, which: &str, cause: &io::Error) -> io::Error {
    io::Error::other(format!("its {what} ({which}) cannot be kept: {cause}; run as a user who may set it"))
}
