//! The state directory, and whether its content can be trusted.

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
use crate::util::exposure::exposure;
use crate::util::ownership::{is_open_to_others, is_shared};
use crate::util::path;

/// The state directory of this user. It may be shared by several machines; this value gives access to the states of
/// this machine.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
    machine: String,
}

/// Finds the state directory, without creating it: the flag, systemd's `$STATE_DIRECTORY`, `/var/lib/kvx` for root, and
/// `$XDG_STATE_HOME/kvx` or `~/.local/state/kvx` for other users. If such a user cannot write there (a Consul agent's
/// user may have no home), it is `/tmp/kvx-UID`; a reboot empties that directory, and each handler then runs once more.
///
/// # Errors
/// 78 if a variable is not UTF-8, or the path is empty; 73 if this machine cannot be identified, or if the path is
/// relative and there is no working directory.
pub fn directory(flag: Option<&Path>, env: &Env) -> Result<StateDirectory> {
    let path = locate(flag, env)?;
    if path.as_os_str().is_empty() {
        let name = if flag.is_some() { "--state-dir" } else { "STATE_DIRECTORY" };
        return Err(Status::Configuration.error(format!("{name} names no directory; give the path of one")));
    }
    let path = path::absolute(&path)?;
    Ok(StateDirectory { path, machine: machine::this(env)? })
}

fn locate(flag: Option<&Path>, env: &Env) -> Result<PathBuf> {
    if let Some(flag) = flag {
        return Ok(flag.to_owned());
    }
    let path = |name: &str| env.text(name).map(|value| value.map(PathBuf::from));
    if let Some(given) = env.text("STATE_DIRECTORY")? {
        // For a unit with several directories, systemd lists all of them.
        return Ok(given.split(':').next().unwrap_or(&given).into());
    }
    let user = geteuid();
    if user.is_root() {
        return Ok("/var/lib/kvx".into());
    }
    let xdg = path("XDG_STATE_HOME")?.filter(|state| state.is_absolute());
    let state = xdg.or(path("HOME")?.map(|home| home.join(".local/state")));
    let in_home = state.map(|state| state.join("kvx")).filter(|in_home| is_usable(in_home));
    Ok(in_home.unwrap_or_else(|| format!("/tmp/kvx-{user}").into()))
}

/// Whether this user can write or create the directory, and no other user can change it.
fn is_usable(directory: &Path) -> bool {
    let existing = existing(directory);
    access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() && matches!(exposure(existing), Ok(None))
}

/// The last directory of the path that exists.
fn existing(directory: &Path) -> &Path {
    directory.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok()).unwrap_or(directory)
}

impl StateDirectory {
    /// The absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state file of the file at `path` (canonical) on this machine.
    pub(super) fn file_of(&self, path: &Path) -> PathBuf {
        let name = [self.machine.as_bytes(), path.as_os_str().as_bytes()].join(&0);
        self.path.join(Checksum::of(&name).to_string())
    }

    /// Creates the directory if it is missing, writable for this user only.
    ///
    /// # Errors
    /// 73 if that fails, or if another user can change the directory's content, and with it what kvx does for a file.
    pub(super) fn prepare(&self) -> Result<()> {
        // What exists, before anything is created in it.
        self.assert_not_exposed(existing(&self.path))?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|cause| {
            let directory = self.path.display();
            cannot_write(&io::Error::new(cause.kind(), format!("{directory} cannot be created: {cause}")))
        })?;
        self.assert_private() // In /tmp, another user may have created it in the meantime.
    }

    /// Fails if another user can change the directory or a directory above it, or can create it.
    pub(super) fn assert_private(&self) -> Result<()> {
        self.assert_not_exposed(&self.path)?;
        match fs_err::metadata(&self.path) {
            // The sticky bit keeps others from replacing files, not from moving another file of this user's there.
            Ok(metadata) if is_shared(&metadata) => Err(self.exposed(&self.path)),
            Ok(_) => Ok(()),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(cannot_write(&cause)),
        }
    }

    fn assert_not_exposed(&self, directory: &Path) -> Result<()> {
        match exposure(directory) {
            Ok(None) => Ok(()),
            Ok(Some(exposure)) => Err(self.exposed(&exposure.at)),
            Err(cause) => Err(cannot_write(&cause)),
        }
    }

    fn exposed(&self, at: &Path) -> Error {
        Status::CannotWrite.error(format!(
            "the state of the file cannot be kept in {}: other users can change {}; {REMEDY}",
            self.path.display(),
            at.display()
        ))
    }
}

const REMEDY: &str = "give --state-dir (or STATE_DIRECTORY) a directory that only this user and root can write";

/// Whether no other user can have written this state file. Otherwise kvx does not trust it.
pub(super) fn is_trusted(file: &Metadata) -> bool {
    file.is_file() && file.uid() == geteuid().as_raw() && !is_open_to_others(file)
}

/// The state cannot be written; `cause` contains the path.
pub(super) fn cannot_write(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
        _ => REMEDY,
    };
    Status::CannotWrite.error(format!("the state of the file cannot be kept: {cause}; {remedy}"))
}
