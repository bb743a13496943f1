//! Who may do what with a file, beyond owner and mode: its SELinux label and its POSIX ACL. What the old file has, the new
//! one gets, where the file system has such things.

use std::io::{self, ErrorKind};
use std::path::Path;

use xattr::FileExt;

const LABEL: &str = "security.selinux";
/// Where SELinux is, if it is in force.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const ACL: &str = "system.posix_acl_access";

/// Gives the new file the old one's.
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
    match (get(old, ACL)?, get(new, ACL)?) {
        (Some(acl), _) => new.file().set_xattr(ACL, &acl),
        (None, Some(_)) => new.file().remove_xattr(ACL),
        (None, None) => Ok(()),
    }
    .map_err(|cause| cannot_keep("ACL", "see getfacl", &cause))
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
