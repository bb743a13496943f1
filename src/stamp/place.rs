//! Where it is remembered what is installed.

use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use crate::error::{Result, Status};
use crate::world::World;

/// The state directory: the flag, systemd's `$STATE_DIRECTORY`, `/var/lib/kvx` for root,
/// `$XDG_STATE_HOME/kvx` or `~/.local/state/kvx` for others; and where that cannot be, as for an agent whose user has no home
/// of its own, a directory in /tmp that nobody else may touch. (A restart of the machine forgets that one: then each
/// handler is run once more.)
///
/// # Errors
/// 73 where somebody else has that.
pub fn directory(flag: Option<&Path>, world: &World) -> Result<PathBuf> {
    if let Some(flag) = flag {
        return Ok(flag.to_owned());
    }
    let path = |name: &str| world.text(name).map(|value| value.map(PathBuf::from));
    if let Some(given) = world.text("STATE_DIRECTORY")? {
        return Ok(given.split(':').next().unwrap_or(&given).into()); // systemd lists all of a unit's.
    }
    if geteuid().is_root() {
        return Ok("/var/lib/kvx".into());
    }
    let xdg = path("XDG_STATE_HOME")?.filter(|state| state.is_absolute());
    let state = xdg.or(path("HOME")?.map(|home| home.join(".local/state")));
    match state.map(|state| state.join("kvx")).filter(|usual| is_usable(usual)) {
        Some(usual) => Ok(usual),
        None => private(),
    }
}

/// Whether it can be written, or made.
fn is_usable(directory: &Path) -> bool {
    let there = directory.ancestors().find(|ancestor| ancestor.exists());
    there.is_some_and(|there| access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}

fn private() -> Result<PathBuf> {
    let private = PathBuf::from(format!("/tmp/kvx-{}", geteuid()));
    drop(DirBuilder::new().mode(0o700).create(&private)); // It may be there.
    let remedy = "set STATE_DIRECTORY, or give --state-dir, a directory that this user may write";
    match fs_err::symlink_metadata(&private) {
        Ok(metadata) if is_ours(&metadata) => Ok(private),
        Ok(_) => {
            Err(Status::CannotWrite
                .error(format!("{} is somebody else's, or open to others; {remedy}", private.display())))
        }
        Err(cause) => {
            Err(Status::CannotWrite.error(format!("what is installed can be remembered nowhere: {cause}; {remedy}")))
        }
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.is_dir() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o077 == 0
}
