//! Owner and mode of a file: as they are wanted, and as they are.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Status};

/// Of a new file for which nothing is said.
pub(super) const NEW_MODE: u32 = 0o640;
/// All but set-id and sticky bits.
pub(super) const PERMISSIONS: u32 = 0o777;
/// Of a directory whose group is that of what is created in it.
const SET_GROUP_ID: u32 = 0o2000;

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
    pub(super) mode: Option<u32>,
    pub(super) user: Option<Uid>,
    pub(super) group: Option<Gid>,
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
    /// Whether a file that has these has what is wanted.
    pub(super) fn is_met_by(&self, has: &Has) -> bool {
        self.user.is_none_or(|user| user == has.user)
            && self.group.is_none_or(|group| group == has.group)
            && self.mode.unwrap_or(has.mode & PERMISSIONS) == has.mode
    }

    /// With what a new file gets in this directory where nothing is said.
    pub(super) fn or_as_new_in(self, directory: &Metadata) -> Wanted {
        let of_directory = || (directory.mode() & SET_GROUP_ID != 0).then(|| Gid::from_raw(directory.gid()));
        Wanted {
            mode: Some(self.mode.unwrap_or(NEW_MODE)),
            user: Some(self.user.unwrap_or_else(geteuid)),
            group: Some(self.group.or_else(of_directory).unwrap_or_else(getegid)),
        }
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
    pub mode: u32,
    pub user: Uid,
    pub group: Gid,
}

impl Has {
    /// Of this file.
    pub fn of(metadata: &Metadata) -> Has {
        Has {
            mode: metadata.mode() & 0o7777,
            user: Uid::from_raw(metadata.uid()),
            group: Gid::from_raw(metadata.gid()),
        }
    }
}
