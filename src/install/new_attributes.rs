//! Owner, mode, ACL and SELinux label of a new file: which ones it takes over from the old file, and how they are set.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::attributes::{FileAttributes, NEW_MODE, PERMISSIONS, Wanted};
use super::directory::OpenDirectory;
use super::{Installed, xattrs};

/// Write permission of group and others.
pub(super) const OTHERS_WRITE: u32 = 0o022;
/// All permissions of the group.
pub(super) const GROUP: u32 = 0o070;
/// All permissions of the owner.
pub(super) const OWNER: u32 = 0o700;
/// The set-user-ID bit.
const SET_USER_ID: u32 = 0o4000;
/// The set-group-ID bit.
const SET_GROUP_ID: u32 = 0o2000;

/// The attributes of a new file: the wanted ones, otherwise those of the old file where it is safe to take them over.
///
/// Only `-c` sets set-id and sticky bits. If the owner or group changes, the new file gets neither the old ACL nor
/// write permission for group and others. If an ACL is dropped, the group gets what the ACL really granted it.
///
/// In a directory that every user can write, nothing is taken over from the old file, whatever its owner: any user can
/// have moved it there. ACL and label are taken over only if no other user than the file's owner can have put it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewAttributes {
    user: Option<Uid>,
    pub group: Option<Gid>,
    pub mode: u32,
    pub labels: Labels,
}

/// What happens to ACL and SELinux label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// Copy them from the old file.
    Keep,
    /// Remove the ACL; leave the label to the system.
    Drop,
    /// Leave both to the system.
    New,
}

impl NewAttributes {
    /// The attributes of a file that replaces `old` in this directory.
    pub fn new(wanted: &Wanted, old: Option<&Installed>, directory: &OpenDirectory) -> io::Result<NewAttributes> {
        assert_set_id_is_named(wanted, directory)?;
        if directory.is_open_to_all()? {
            let Wanted { mode, user, group } = wanted.or_as_new_in(&directory.metadata()?);
            return Ok(NewAttributes { user, group, mode: mode.unwrap_or(NEW_MODE), labels: Labels::Drop });
        }
        let Some(old) = old else {
            let mode = wanted.mode.unwrap_or(NEW_MODE);
            let labels = if directory.exposure()?.is_some() { Labels::Drop } else { Labels::New };
            return Ok(NewAttributes { user: wanted.user, group: wanted.group, mode, labels });
        };
        let (user, group) = (wanted.user.unwrap_or(old.current.user), wanted.group.unwrap_or(old.current.group));
        let keeps_owner = (user, group) == (old.current.user, old.current.group);
        let is_owners_choice = directory.is_changed_only_by(old.current.user.as_raw())?;
        let labels = match &old.file {
            Some(_) if keeps_owner && is_owners_choice => Labels::Keep,
            _ => Labels::Drop,
        };
        let mode = match (wanted.mode, labels) {
            (Some(mode), _) => mode,
            (None, Labels::Keep) => old.current.mode & PERMISSIONS,
            (None, _) if keeps_owner => old.mode_without_acl()?,
            (None, _) => {
                let mode = old.mode_without_acl()? & !OTHERS_WRITE;
                // The members of the old group are others now.
                if group == old.current.group { mode } else { mode & (0o770 | mode >> 3) }
            }
        };
        Ok(NewAttributes { user: Some(user), group: Some(group), mode, labels })
    }

    /// Whether these only add permissions: same owner, no set-id bit, no permission removed.
    pub fn only_widens(&self, current: &FileAttributes) -> bool {
        self.user.is_none_or(|user| user == current.user)
            && self.group.is_none_or(|group| group == current.group)
            && self.mode & !PERMISSIONS == 0
            && current.mode & !self.mode == 0
    }

    /// Refuses to write through a file of another user. That user may have it open, and could go on writing it
    /// whatever its new owner and mode.
    ///
    /// # Errors
    /// The file belongs to another user.
    pub fn refuse_in_place(&self, current: &FileAttributes) -> io::Result<()> {
        let user = self.user.unwrap_or_else(geteuid);
        if current.user == user || current.user.is_root() || current.user == geteuid() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it belongs to user {}, who may have it open and go on writing it; leave out --in-place, or remove it",
            current.user
        )))
    }
}

/// Fails if the mode gives a set-id program to a user or a group that the options do not name, where another user can
/// have made the old file or the directory. That user may have chosen the group, too: a file moved from elsewhere, and a
/// new file in a set-group-ID directory, has a group that its maker is not a member of.
fn assert_set_id_is_named(wanted: &Wanted, directory: &OpenDirectory) -> io::Result<()> {
    let has = |bit: u32| wanted.mode.is_some_and(|mode| mode & bit != 0);
    let (owner, whose, name) =
        match (has(SET_USER_ID) && wanted.user.is_none(), has(SET_GROUP_ID) && wanted.group.is_none()) {
            (false, false) => return Ok(()),
            (true, false) => ("owner", "user", "the owner with -o"),
            (false, true) => ("group", "group", "the group with -o, as in -o :GROUP"),
            (true, true) => ("owner and group", "user", "both with -o USER:GROUP"),
        };
    if directory.is_changed_only_by_us()? {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "its {owner} would get a set-id program, and other users can have put another {whose}'s file there; name {name}"
    )))
}

/// Sets all attributes of a new file. The mode comes last: changing the owner clears set-id bits, the mode sets the
/// ACL's mask, and a previous owner must not get a mode that is meant for the new one.
pub(super) fn apply(file: &fs_err::File, attributes: &NewAttributes, old: Option<&Installed>) -> io::Result<()> {
    apply_owner(file, attributes)?;
    match (attributes.labels, old.and_then(|old| old.file.as_ref())) {
        (Labels::Keep, Some(old)) => xattrs::copy(old, file)?,
        (Labels::Keep | Labels::Drop, _) => xattrs::drop_acl(file)?,
        (Labels::New, _) => {}
    }
    apply_mode(file, attributes.mode)
}

/// Sets the new owner of an existing file, and reduces its mode to the permissions that both the old and the new mode
/// grant.
pub(super) fn narrow(file: &fs_err::File, attributes: &NewAttributes, current: &FileAttributes) -> io::Result<()> {
    apply_mode(file, attributes.mode & current.mode & PERMISSIONS)?;
    apply_owner(file, attributes)?;
    if attributes.labels == Labels::Keep { Ok(()) } else { xattrs::drop_acl(file) }
}

fn apply_owner(file: &fs_err::File, attributes: &NewAttributes) -> io::Result<()> {
    let current = FileAttributes::from_metadata(&file.metadata()?);
    let user = attributes.user.filter(|user| *user != current.user);
    let group = attributes.group.filter(|group| *group != current.group);
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    fchown(file, user, group).map_err(|errno| {
        io::Error::other(format!(
            "its owner cannot be set ({errno}); run as root, or name with -o whom this user may give files to"
        ))
    })
}

pub(super) fn apply_mode(file: &fs_err::File, mode: u32) -> io::Result<()> {
    if FileAttributes::from_metadata(&file.metadata()?).mode != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}
