//! SELinux label and POSIX ACL. The new file gets those of the old one, if the file system supports them.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::Path;

use xattr::FileExt;

const LABEL: &str = "security.selinux";
/// Exists if SELinux is enabled.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// Tags of ACL entries: their lower byte.
const NAMED_USER: u8 = 0x02;
const GROUP: u8 = 0x04;
const NAMED_GROUP: u8 = 0x08;
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

/// The mode for a file that loses its ACL, such that no user gains access. The group bits of a file with an ACL are only
/// the ACL's mask, so they are reduced to what the ACL grants the group. A user whom the ACL names, or whose group it
/// names, now counts as one of the group or of the others, which get no more than the ACL grants that user.
pub(super) fn without_acl(file: &fs_err::File, mode: u32) -> io::Result<u32> {
    Ok(get(file, ACL)?.map_or(mode, |acl| mode & granted_without(&acl)))
}

/// Like [`without_acl`], for a file that is open as a path only, or cannot be read.
pub(super) fn without_acl_of_unread(file: &fs_err::File, mode: u32) -> io::Result<u32> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    match xattr::get_deref(path, ACL) {
        Err(cause) if cause.kind() == ErrorKind::Unsupported => Ok(mode),
        read => Ok(read?.map_or(mode, |acl| mode & granted_without(&acl))),
    }
}

/// The permissions that no user lacks who counts as the owner, one of the group, or one of the others without this ACL.
fn granted_without(acl: &[u8]) -> u32 {
    let permissions_of = |wanted: u8| {
        entries(acl).filter_map(move |entry| match entry {
            [tag, 0, permissions, ..] if *tag == wanted => Some(u32::from(*permissions) & 0o7),
            _ => None,
        })
    };
    let mask = permissions_of(MASK).next().unwrap_or(0o7);
    let least = |tag: u8| permissions_of(tag).fold(0o7, |least, permissions| least & permissions & mask);
    let named = least(NAMED_USER) & least(NAMED_GROUP);
    0o700 | (permissions_of(GROUP).next().unwrap_or(0) & named) << 3 | named
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const OWNER: u8 = 0x01;

    /// An ACL, as acl(5) describes it.
    #[derive(Clone, Debug)]
    struct Acl {
        owner: u32,
        users: Vec<(u32, u32)>,
        group: u32,
        groups: Vec<(u32, u32)>,
        mask: Option<u32>,
        others: u32,
    }

    impl Acl {
        fn bytes(&self) -> Vec<u8> {
            let entry =
                |tag: u8, permissions: u32, id: u32| [&[tag, 0, permissions as u8, 0][..], &id.to_le_bytes()].concat();
            let mut bytes = 2u32.to_le_bytes().to_vec();
            bytes.extend(entry(OWNER, self.owner, u32::MAX));
            bytes.extend(self.users.iter().flat_map(|(id, permissions)| entry(NAMED_USER, *permissions, *id)));
            bytes.extend(entry(GROUP, self.group, u32::MAX));
            bytes.extend(self.groups.iter().flat_map(|(id, permissions)| entry(NAMED_GROUP, *permissions, *id)));
            bytes.extend(self.mask.into_iter().flat_map(|mask| entry(MASK, mask, u32::MAX)));
            bytes.extend(entry(OTHER, self.others, u32::MAX));
            bytes
        }

        /// The mode that stat(2) shows.
        fn mode(&self) -> u32 {
            self.owner << 6 | self.mask.unwrap_or(self.group) << 3 | self.others
        }

        /// Whether a user who is not the owner has this permission, by the access check algorithm of acl(5).
        fn grants(&self, permission: u32, user: u32, in_group: bool, groups: &[u32]) -> bool {
            let mask = self.mask.unwrap_or(0o7);
            if let Some((_, permissions)) = self.users.iter().find(|(id, _)| *id == user) {
                return permissions & mask & permission != 0;
            }
            let of_groups =
                self.groups.iter().filter(|(id, _)| groups.contains(id)).map(|(_, permissions)| *permissions);
            let mut of_groups = of_groups.chain(in_group.then_some(self.group)).peekable();
            match of_groups.peek() {
                Some(_) => of_groups.any(|permissions| permissions & mask & permission != 0),
                None => self.others & permission != 0,
            }
        }
    }

    fn acls() -> impl Strategy<Value = Acl> {
        let named = || vec((0u32..4, 0u32..8), 0..3);
        (0u32..8, named(), 0u32..8, named(), option::of(0u32..8), 0u32..8).prop_map(
            |(owner, users, group, groups, mask, others)| {
                // An ACL with named entries must have a mask.
                let mask = if users.is_empty() && groups.is_empty() { mask } else { Some(mask.unwrap_or(0o7)) };
                Acl { owner, users, group, groups, mask, others }
            },
        )
    }

    proptest! {
        #[test]
        fn without_its_acl_no_user_gains_access_to_a_file(
            acl in acls(), user in 0u32..5, in_group: bool, groups in vec(0u32..4, 0..3),
        ) {
            let mode = acl.mode() & granted_without(&acl.bytes());
            for permission in [4, 2, 1] {
                let class = if in_group { mode >> 3 } else { mode };
                let is_granted = class & permission != 0;
                prop_assert!(!is_granted || acl.grants(permission, user, in_group, &groups), "{mode:o} {permission}");
            }
            prop_assert_eq!(mode & 0o700, acl.mode() & 0o700);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..64)) {
            prop_assert!(granted_without(&bytes) & !0o777 == 0);
            prop_assert_eq!(restricted(bytes.clone()).len(), bytes.len());
        }
    }
}
