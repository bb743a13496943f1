//! Owner and mode of a file, and which of the old file's a new one takes over.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::unistd::{Gid, Group, Uid, User, fchown, geteuid};
use serde::{Deserialize, Serialize};

use super::{Installed, xattrs};
use crate::error::{Result, Status};

/// Of a new file for which nothing is said.
const NEW_MODE: u32 = 0o640;
/// All but set-id and sticky bits.
const PERMISSIONS: u32 = 0o777;
const OTHERS_WRITE: u32 = 0o022;
const GROUP: u32 = 0o070;

/// What is wanted of the file besides its content; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `-c`: permission bits.
    pub mode: Option<u32>,
    /// `-o`: the user, by name or number.
    pub user: Option<String>,
    /// `-o user:group`.
    pub group: Option<String>,
}

/// Attributes with names looked up, also as they are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Recorded", from = "Recorded")]
pub struct Wanted {
    mode: Option<u32>,
    user: Option<Uid>,
    group: Option<Gid>,
}

/// In numbers.
#[derive(Serialize, Deserialize)]
struct Recorded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<u32>,
}

impl From<Wanted> for Recorded {
    fn from(Wanted { mode, user, group }: Wanted) -> Recorded {
        Recorded { mode, user: user.map(Uid::as_raw), group: group.map(Gid::as_raw) }
    }
}

impl From<Recorded> for Wanted {
    fn from(Recorded { mode, user, group }: Recorded) -> Wanted {
        Wanted { mode, user: user.map(Uid::from_raw), group: group.map(Gid::from_raw) }
    }
}

impl Attributes {
    /// Looks up the names.
    ///
    /// # Errors
    /// 78 where this machine does not know one.
    pub fn look_up(&self) -> Result<Wanted> {
        let user = self.user.as_deref().map(|name| {
            number_or("user", name, || Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))).map(Uid::from_raw)
        });
        let group = self.group.as_deref().map(|name| {
            number_or("group", name, || Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))).map(Gid::from_raw)
        });
        Ok(Wanted { mode: self.mode, user: user.transpose()?, group: group.transpose()? })
    }
}

/// A number as it is, or that of a name.
fn number_or(kind: &str, name: &str, look_up: impl FnOnce() -> nix::Result<Option<u32>>) -> Result<u32> {
    let wrong = |why: &str| Status::Configuration.error(format!("-o: {why}"));
    let unknown = || wrong(&format!("there is no {kind} \"{name}\" on this machine; create it or name another"));
    match name.parse() {
        Ok(u32::MAX) => Err(unknown()), // To chown(2): do not change it.
        Ok(number) => Ok(number),
        Err(_) => look_up()
            .map_err(|errno| {
                wrong(&format!("the {kind} \"{name}\" cannot be looked up: {errno}; try again, or give the number"))
            })?
            .ok_or_else(unknown),
    }
}

impl Wanted {
    /// Whether a file that has these, and is believed or not, has what is wanted.
    pub(super) fn is_met_by(&self, has: &Has, is_believed: bool) -> bool {
        let mode = self.mode.unwrap_or(if is_believed { has.mode & PERMISSIONS } else { NEW_MODE });
        (is_believed || self.user.is_some())
            && self.user.is_none_or(|user| user == has.user)
            && self.group.is_none_or(|group| group == has.group)
            && mode == has.mode
    }

    /// Whether nothing is wanted.
    pub fn is_nothing(&self) -> bool {
        *self == Wanted::default()
    }

    /// What is otherwise, for people.
    pub(super) fn difference(&self, has: &Has) -> Option<String> {
        let mode = Some(self.mode.unwrap_or(has.mode & PERMISSIONS)).filter(|mode| *mode != has.mode);
        let mode = mode.map(|mode| format!("mode {:04o} instead of {mode:04o}", has.mode));
        let user = self.user.filter(|user| *user != has.user);
        let user = user.map(|user| format!("user {} instead of {user}", has.user));
        let group = self.group.filter(|group| *group != has.group);
        let group = group.map(|group| format!("group {} instead of {group}", has.group));
        let all: Vec<String> = [mode, user, group].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// Attributes that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Has {
    mode: u32,
    user: Uid,
    group: Gid,
}

impl Has {
    /// Of this file.
    pub fn of(metadata: &std::fs::Metadata) -> Has {
        Has {
            mode: metadata.mode() & 0o7777,
            user: Uid::from_raw(metadata.uid()),
            group: Gid::from_raw(metadata.gid()),
        }
    }
}

/// What a new file gets: what is wanted, and otherwise what the old one had, as far as that can be taken over.
///
/// Set-id and sticky bits are only ever given by `-c`. If its owner or group is another, what the old ones have granted does
/// not count: neither an ACL, nor that group or others may write. Where an ACL goes, the group gets what it really had.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewAttributes {
    user: Option<Uid>,
    group: Option<Gid>,
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
    /// For a file in the place of this one.
    pub fn of(wanted: &Wanted, old: Option<&Installed>) -> io::Result<NewAttributes> {
        let Some(old) = old.filter(|old| old.is_believed) else {
            let mode = wanted.mode.unwrap_or(NEW_MODE);
            return Ok(NewAttributes { user: wanted.user, group: wanted.group, mode, labels: Labels::New });
        };
        let (user, group) = (wanted.user.unwrap_or(old.has.user), wanted.group.unwrap_or(old.has.group));
        let is_same = (user, group) == (old.has.user, old.has.group);
        let labels = match &old.file {
            Some(_) if is_same => Labels::Keep,
            _ => Labels::Drop,
        };
        let mode = match (wanted.mode, labels, &old.file) {
            (Some(mode), ..) => mode,
            (None, Labels::Keep, _) => old.has.mode & PERMISSIONS,
            (None, _, Some(file)) => xattrs::without_acl(file, old.has.mode & PERMISSIONS)? & !OTHERS_WRITE,
            // Whether it has an ACL, which its group's bits are the mask of, nobody knows.
            (None, _, None) => old.has.mode & PERMISSIONS & !OTHERS_WRITE & !GROUP,
        };
        Ok(NewAttributes { user: Some(user), group: Some(group), mode, labels })
    }

    /// For the copy that a check is shown, which must not become a program of root's.
    pub fn without_set_id(self) -> NewAttributes {
        NewAttributes { mode: self.mode & PERMISSIONS, ..self }
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
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
