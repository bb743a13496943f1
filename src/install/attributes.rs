//! Owner and mode of a file.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::unistd::{Gid, Group, Uid, User, fchown};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Status};

/// Of a new file for which nothing is said.
const NEW_MODE: u32 = 0o640;

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
    /// Whether a file with these has what is wanted.
    pub fn is_met_by(&self, has: &Has) -> bool {
        self.mode.is_none_or(|mode| mode == has.mode)
            && self.user.is_none_or(|user| user == has.user)
            && self.group.is_none_or(|group| group == has.group)
    }

    /// What is otherwise, for people.
    pub fn difference(&self, has: &Has) -> Option<String> {
        let mode = self.mode.filter(|mode| *mode != has.mode);
        let mode = mode.map(|mode| format!("mode {:04o} instead of {mode:04o}", has.mode));
        let user = self.user.filter(|user| *user != has.user);
        let user = user.map(|user| format!("user {} instead of {user}", has.user));
        let group = self.group.filter(|group| *group != has.group);
        let group = group.map(|group| format!("group {} instead of {group}", has.group));
        let all: Vec<String> = [mode, user, group].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The mode that lets in nobody whom either the file as it is or what is wanted keeps out.
    pub(super) fn closed(&self, has: &Has) -> Wanted {
        Wanted { mode: self.mode.map(|mode| mode & has.mode), ..*self }
    }
}

/// Attributes that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Has {
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

/// Gives a file the owner that is wanted, or that the old one had.
///
/// Before its mode: changing the owner takes setuid bits away, and a new owner never sees a mode meant for another.
pub(super) fn give_owner(file: &fs_err::File, wanted: &Wanted, old: Option<&Has>) -> io::Result<()> {
    let is = Has::of(&file.metadata()?);
    let user = wanted.user.or(old.map(|old| old.user)).filter(|user| *user != is.user);
    let group = wanted.group.or(old.map(|old| old.group)).filter(|group| *group != is.group);
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    fchown(file, user, group).map_err(|errno| {
        io::Error::other(format!(
            "its owner cannot be set ({errno}); run as root, or name with -o whom this user may give files to"
        ))
    })
}

/// Gives a file the mode that is wanted, or that the old one had, or that of a new file.
pub(super) fn give_mode(file: &fs_err::File, wanted: &Wanted, old: Option<&Has>) -> io::Result<()> {
    let mode = wanted.mode.or(old.map(|old| old.mode)).unwrap_or(NEW_MODE);
    if Has::of(&file.metadata()?).mode != mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
