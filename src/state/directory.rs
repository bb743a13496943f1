//! Where it is recorded what is installed, and whether that may be believed.

use std::fs::{DirBuilder, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use super::machine;
use crate::document::Checksum;
use crate::env::Env;
use crate::error::{Error, Result, Status};
use crate::util::ownership::{exposed, is_open_to_others};
use crate::util::path;

/// The state directory of this user, as seen from this machine.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
    machine: String,
}

/// Finds the state directory, without creating it: the flag, systemd's `$STATE_DIRECTORY`, `/var/lib/kvx` for root,
/// `$XDG_STATE_HOME/kvx` or `~/.local/state/kvx` for others; and where that cannot be, as for an agent whose user has no home
/// of its own, `/tmp/kvx-UID`. (A restart of the machine forgets that one: then each handler is run once more.)
///
/// # Errors
/// 78 where a variable is not UTF-8, 73 where it cannot be known which machine this is.
pub fn directory(flag: Option<&Path>, env: &Env) -> Result<StateDirectory> {
    let path = path::absolute(&locate(flag, env)?);
    Ok(StateDirectory { path, machine: machine::this(env)? })
}

fn locate(flag: Option<&Path>, env: &Env) -> Result<PathBuf> {
    if let Some(flag) = flag {
        return Ok(flag.to_owned());
    }
    let path = |name: &str| env.text(name).map(|value| value.map(PathBuf::from));
    if let Some(given) = env.text("STATE_DIRECTORY")? {
        return Ok(given.split(':').next().unwrap_or(&given).into()); // systemd lists all of a unit's.
    }
    let user = geteuid();
    if user.is_root() {
        return Ok("/var/lib/kvx".into());
    }
    let xdg = path("XDG_STATE_HOME")?.filter(|state| state.is_absolute());
    let state = xdg.or(path("HOME")?.map(|home| home.join(".local/state")));
    let usual = state.map(|state| state.join("kvx")).filter(|usual| is_usable(usual));
    Ok(usual.unwrap_or_else(|| format!("/tmp/kvx-{user}").into()))
}

/// Whether it can be written, or created, and only by this user.
fn is_usable(directory: &Path) -> bool {
    let there = directory.ancestors().find(|ancestor| ancestor.exists());
    there.is_some_and(|there| access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
        && matches!(exposed(directory), Ok(None))
}

impl StateDirectory {
    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state file of the file at `path` (canonical) on this machine.
    pub(super) fn file_of(&self, path: &Path) -> PathBuf {
        let name = [self.machine.as_bytes(), path.as_os_str().as_bytes()].join(&0);
        self.path.join(Checksum::of(&name).to_string())
    }

    /// Creates it where it is missing, for this user alone.
    ///
    /// # Errors
    /// 73 where that fails, or where another user could change what is in it, and with it what has been done for a file.
    pub(super) fn prepare(&self) -> Result<()> {
        self.assert_private()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|cause| {
            let directory = self.path.display();
            cannot_write(&io::Error::new(cause.kind(), format!("{directory} cannot be created: {cause}")))
        })?;
        self.assert_private() // In /tmp, someone else may have been faster.
    }

    /// No other user can change it, nor any directory above it.
    pub(super) fn assert_private(&self) -> Result<()> {
        match exposed(&self.path) {
            Ok(None) => Ok(()),
            Ok(Some(at)) => Err(Status::CannotWrite.error(format!(
                "the state of the file cannot be kept in {}: other users can change {}; {REMEDY}",
                self.path.display(),
                at.display()
            ))),
            Err(cause) => Err(cannot_write(&cause)),
        }
    }
}

const REMEDY: &str = "give --state-dir (or STATE_DIRECTORY) a directory that only this user and root can write";

/// A state file is believed only if no other user can have written it.
pub(super) fn is_ours(file: &Metadata) -> bool {
    file.is_file() && file.uid() == geteuid().as_raw() && !is_open_to_others(file)
}

/// The state cannot be kept; the cause says where.
pub(super) fn cannot_write(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
        _ => REMEDY,
    };
    Status::CannotWrite.error(format!("the state of the file cannot be kept: {cause}; {remedy}"))
}
