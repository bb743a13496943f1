//! Who may do what with a file, beyond owner and mode: its SELinux label and its POSIX ACL. What the old file has, the new
//! one gets, where the file system has such things.

use std::io::{self, ErrorKind};
use std::path::Path;

use xattr::FileExt;

const LABEL: &str = "security.selinux";
/// Where SELinux is, if it is in force.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// Tags of its entries, in their lower byte.
const GROUP: u8 = 0x04;
const MASK: u8 = 0x10;
const OTHER: u8 = 0x20;

/// Gives the new file the old one's, which is of the same owner and group.
///
/// A label that the system gave to a file whose predecessor has none is left; an ACL that came from the directory's default
/// is not: it would let people in whom the old file kept out.
pub(super) fn keep(old: &fs_err::File, new: &fs_err::File) -> io::Result<()> {
    if let Some(label) = get(old, LABEL)?.filter(|label| get(new, LABEL).ok().flatten().as_ref() != Some(label)) {
        match new.file().set_xattr(LABEL, &label) {
            // A label from other times: here it means nothing.
            Err(_) if !Path::new(SELINUX).exists() => {}
            set => set.map_err(|cause| cannot_keep("SELinux label", &String::from_utf8_lossy(&label), &cause))?,
        }
    }
    match get(old, ACL)? {
        Some(acl) => new.file().set_xattr(ACL, &closed(acl)).map_err(|cause| cannot_keep("ACL", "see getfacl", &cause)),
        None => drop_acl(new),
    }
}

/// Whether a file has an ACL.
pub(super) fn has_acl(file: &fs_err::File) -> io::Result<bool> {
    get(file, ACL).map(|acl| acl.is_some())
}

/// Takes a file's ACL away, if it has one. Its group's bits then are what was the mask.
pub(super) fn drop_acl(file: &fs_err::File) -> io::Result<()> {
    remove_acl(file, ACL)
}

/// Takes away the ACL that whatever is created in a directory would get.
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

/// The mode of a file that loses its ACL and lets in nobody else thereby: of what its group's bits are then, the mask was only
/// the most that anybody got.
pub(super) fn without_acl(file: &fs_err::File, mode: u32) -> io::Result<u32> {
    let Some(acl) = get(file, ACL)? else { return Ok(mode) };
    let group = entries(&acl).find_map(|entry| match entry {
        [GROUP, 0, permissions, ..] => Some(u32::from(*permissions)),
        _ => None,
    });
    Ok(mode & (0o707 | (group.unwrap_or(0) & 0o7) << 3))
}

/// As far as the mode decides of it, it lets in nobody but the owner: the mode, which is given next, sets mask and others
/// (acl(5)), and may be narrower than the old one.
///
/// As in the kernel's `posix_acl_xattr.h`: a version, and entries of tag, permissions and id.
fn closed(mut acl: Vec<u8>) -> Vec<u8> {
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
