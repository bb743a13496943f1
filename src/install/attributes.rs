//! Owner and mode of a file: the wanted ones and the current ones.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Status};

/// The mode of a new file without `-c`.
pub(super) const NEW_MODE: u32 = 0o640;
/// All mode bits except set-id and sticky.
pub(super) const PERMISSIONS: u32 = 0o777;
/// New files in a directory with this bit get the directory's group.
const SET_GROUP_ID: u32 = 0o2000;

/// The owner and mode that the options ask for. What they leave out is not changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `-c`: permission bits.
    pub mode: Option<u32>,
    /// `-o`: the user, by name or number.
    pub user: Option<String>,
    /// `-o user:group`.
    pub group: Option<String>,
}

/// [`Attributes`] with names resolved to numbers. This is also their form in the state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Recorded", from = "Recorded")]
pub struct Wanted {
    pub(super) mode: Option<u32>,
    pub(super) user: Option<Uid>,
    pub(super) group: Option<Gid>,
}

/// How [`Wanted`] is serialized.
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
    /// Resolves the user and group names.
    ///
    /// # Errors
    /// 78 if a name is unknown on this machine.
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

/// Parses a numeric id, or looks up a name.
fn number_or(kind: &str, name: &str, look_up: impl FnOnce() -> nix::Result<Option<u32>>) -> Result<u32> {
    let wrong = |why: &str| Status::Configuration.error(format!("-o: {why}"));
    let unknown = || wrong(&format!("there is no {kind} \"{name}\" on this machine; create it or name another"));
    match name.parse() {
        Ok(u32::MAX) => Err(unknown()), // To chown(2) it means: do not change.
        Ok(number) => Ok(number),
        Err(_) => look_up()
            .map_err(|errno| {
                wrong(&format!("the {kind} \"{name}\" cannot be looked up: {errno}; try again, or give the number"))
            })?
            .ok_or_else(unknown),
    }
}

impl Wanted {
    /// Whether a file with the current attributes needs no change.
    pub(super) fn is_met_by(&self, current: &FileAttributes) -> bool {
        self.user.is_none_or(|user| user == current.user)
            && self.group.is_none_or(|group| group == current.group)
            && self.mode.unwrap_or(current.mode & PERMISSIONS) == current.mode
    }

    /// Fills in what a new file in this directory gets by default.
    pub(super) fn or_as_new_in(self, directory: &Metadata) -> Wanted {
        let inherited = || (directory.mode() & SET_GROUP_ID != 0).then(|| Gid::from_raw(directory.gid()));
        Wanted {
            mode: Some(self.mode.unwrap_or(NEW_MODE)),
            user: Some(self.user.unwrap_or_else(geteuid)),
            group: Some(self.group.or_else(inherited).unwrap_or_else(getegid)),
        }
    }

    /// Whether no attribute is set.
    pub fn is_nothing(&self) -> bool {
        *self == Wanted::default()
    }

    /// The differences, in words for a log line.
    pub(super) fn difference(&self, current: &FileAttributes) -> Option<String> {
        let mode = Some(self.mode.unwrap_or(current.mode & PERMISSIONS)).filter(|mode| *mode != current.mode);
        let mode = mode.map(|mode| format!("mode {:04o} instead of {mode:04o}", current.mode));
        let user = self.user.filter(|user| *user != current.user);
        let user = user.map(|user| format!("user {} instead of {user}", current.user));
        let group = self.group.filter(|group| *group != current.group);
        let group = group.map(|group| format!("group {} instead of {group}", current.group));
        let differences: Vec<String> = [mode, user, group].into_iter().flatten().collect();
        (!differences.is_empty()).then(|| differences.join(", "))
    }
}

/// Owner and mode of an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileAttributes {
    pub mode: u32,
    pub user: Uid,
    pub group: Gid,
}

impl FileAttributes {
    pub fn from_metadata(metadata: &Metadata) -> FileAttributes {
        FileAttributes {
            mode: metadata.mode() & 0o7777,
            user: Uid::from_raw(metadata.uid()),
            group: Gid::from_raw(metadata.gid()),
        }
    }
}
