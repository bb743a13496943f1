//! Where it is remembered what is installed: kvexpress needed no such place, so one is found wherever it runs.

use std::fs::{DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use crate::error::{Result, Status};
use crate::stamp;
use crate::world::World;

/// The usual directory, if it can be used: then none has to be named. Otherwise, as for an agent whose user has no home of
/// its own, one in /tmp that nobody else may touch. A restart of the machine forgets it: then each handler is run once more.
///
/// # Errors
/// 73 where somebody else has that.
pub(super) fn directory(world: &World) -> Result<Option<PathBuf>> {
    if stamp::directory(None, world).is_ok_and(|usual| is_usable(&usual)) {
        return Ok(None);
    }
    let private = PathBuf::from(format!("/tmp/kvx-{}", geteuid()));
    drop(DirBuilder::new().mode(0o700).create(&private)); // It may be there.
    match fs_err::symlink_metadata(&private) {
        Ok(metadata) if is_ours(&metadata) => Ok(Some(private)),
        Ok(_) => Err(Status::CannotWrite.error(format!(
            "{} is somebody else's, or open to others; set STATE_DIRECTORY to a directory that this user may write",
            private.display()
        ))),
        Err(cause) => Err(Status::CannotWrite.error(format!(
            "what is installed can be remembered nowhere: {cause}; set STATE_DIRECTORY to a directory that this user may write"
        ))),
    }
}

fn is_usable(directory: &Path) -> bool {
    drop(DirBuilder::new().recursive(true).mode(0o700).create(directory));
    directory.is_dir() && access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.is_dir() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o077 == 0
}
