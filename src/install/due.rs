//! Which of the old file's owner, mode, ACL and label a new one takes over, and how they are given to it.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::attributes::{Has, NEW_MODE, PERMISSIONS, Wanted};
use super::{Installed, xattrs};
use crate::util::ownership::{is_only_of, is_open_to_all};

/// By group and others.
pub(super) const OTHERS_WRITE: u32 = 0o022;
pub(super) const GROUP: u32 = 0o070;

/// What a new file gets: what is wanted, and otherwise what the old one had, as far as that can be taken over.
///
/// Set-id and sticky bits are only ever given by `-c`. If its owner or group is another, what the old ones have granted does
/// not count: neither an ACL, nor that group or others may write. Where an ACL goes, the group gets what it really had.
///
/// In a directory that every user can write, nothing of the old file counts, whoever owns it: any user can have moved it there.
/// ACL and label count only where no other user than its owner can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewAttributes {
    user: Option<Uid>,
    pub group: Option<Gid>,
    pub mode: u32,
    pub labels: Labels,
}

/// What becomes of ACL and SELinux label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// As those of the old file.
    Keep,
    /// No ACL; the label that the system gives.
    Drop,
    /// What the system gives to a new file.
    New,
}

impl NewAttributes {
    /// For a file in the place of this one, in this directory.
    pub fn of(wanted: &Wanted, old: Option<&Installed>, directory: &Metadata) -> io::Result<NewAttributes> {
        if is_open_to_all(directory) {
            let Wanted { mode, user, group } = wanted.or_as_new_in(directory);
            return Ok(NewAttributes { user, group, mode: mode.unwrap_or(NEW_MODE), labels: Labels::Drop });
        }
        let Some(old) = old else {
            let mode = wanted.mode.unwrap_or(NEW_MODE);
            return Ok(NewAttributes { user: wanted.user, group: wanted.group, mode, labels: Labels::New });
        };
        let (user, group) = (wanted.user.unwrap_or(old.has.user), wanted.group.unwrap_or(old.has.group));
        let is_same = (user, group) == (old.has.user, old.has.group);
        let labels = match &old.file {
            Some(_) if is_same && is_only_of(directory, old.has.user.as_raw()) => Labels::Keep,
            _ => Labels::Drop,
        };
        let mode = match (wanted.mode, labels, &old.file) {
            (Some(mode), ..) => mode,
            (None, Labels::Keep, _) => old.has.mode & PERMISSIONS,
            (None, _, Some(file)) if is_same => xattrs::without_acl(file, old.has.mode & PERMISSIONS)?,
            (None, _, Some(file)) => xattrs::without_acl(file, old.has.mode & PERMISSIONS)? & !OTHERS_WRITE,
            // Whether it has an ACL, which its group's bits are the mask of, nobody knows.
            (None, _, None) => old.has.mode & PERMISSIONS & !OTHERS_WRITE & !GROUP,
        };
        Ok(NewAttributes { user: Some(user), group: Some(group), mode, labels })
    }

    /// Whether a file with these only lets in more: the same owner, no set-id, no permission less.
    pub fn only_widens(&self, has: &Has) -> bool {
        self.user.is_none_or(|user| user == has.user)
            && self.group.is_none_or(|group| group == has.group)
            && self.mode & !PERMISSIONS == 0
            && has.mode & !self.mode == 0
    }

    /// Whoever owned a file may have it open, and write it whatever becomes of its owner and mode.
    pub fn refuse_in_place(&self, has: &Has) -> io::Result<()> {
        let user = self.user.unwrap_or_else(geteuid);
        if has.user == user || has.user.is_root() || has.user == geteuid() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it belongs to user {}, who may have it open and go on writing it; leave out --in-place, or remove it",
            has.user
        )))
    }
}

/// Gives a new file what is due to it, the mode last: changing the owner takes set-id bits away, an ACL's mask is the mode's, and
/// a new owner never sees a mode meant for another.
pub(super) fn give(file: &fs_err::File, due: &NewAttributes, old: Option<&Installed>) -> io::Result<()> {
    give_owner(file, due)?;
    match (due.labels, old.and_then(|old| old.file.as_ref())) {
        (Labels::Keep, Some(old)) => xattrs::keep(old, file)?,
        (Labels::Keep | Labels::Drop, _) => xattrs::drop_acl(file)?,
        (Labels::New, _) => {}
    }
    give_mode(file, due.mode)
}

/// Gives the file that is there the owner that is due, and a mode that lets in nobody whom either that mode or its own keeps
/// out.
pub(super) fn narrow(file: &fs_err::File, due: &NewAttributes, has: &Has) -> io::Result<()> {
    give_mode(file, due.mode & has.mode & PERMISSIONS)?;
    give_owner(file, due)?;
    if due.labels == Labels::Keep { Ok(()) } else { xattrs::drop_acl(file) }
}

fn give_owner(file: &fs_err::File, due: &NewAttributes) -> io::Result<()> {
    let is = Has::of(&file.metadata()?);
    let user = due.user.filter(|user| *user != is.user);
    let group = due.group.filter(|group| *group != is.group);
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    fchown(file, user, group).map_err(|errno| {
        io::Error::other(format!(
            "its owner cannot be set ({errno}); run as root, or name with -o whom this user may give files to"
        ))
    })
}

pub(super) fn give_mode(file: &fs_err::File, mode: u32) -> io::Result<()> {
    if Has::of(&file.metadata()?).mode != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}
