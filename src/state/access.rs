//! Opening a state file, waiting for its lock, and reading it.

use std::fs::{Metadata, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::StateDirectory;
use super::directory::cannot_write;
use crate::context::Context;
use crate::error::Result;
use crate::util::open;
use crate::util::time::{Backoff, Deadline};

/// The maximum size of a state file. It has room for the longest recorded command line, even if JSON escapes each
/// character.
const MAX_SIZE: u64 = 256 * 1024;

/// What came of waiting for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acquired {
    /// It was free.
    AtOnce,
    /// Another process has held it.
    AfterWait,
    /// Another process holds it until the deadline.
    Never,
}

/// Waits for a lock, and logs once that another process holds it.
pub(super) fn wait_for(
    lock: impl Fn() -> std::result::Result<(), TryLockError>,
    deadline: Deadline,
    context: &Context,
    busy: impl Fn() -> String,
) -> io::Result<Acquired> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    let mut is_logged = false;
    loop {
        match lock() {
            Ok(()) if is_logged => return Ok(Acquired::AfterWait),
            Ok(()) => return Ok(Acquired::AtOnce),
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut is_logged, true) {
            context.progress(&busy);
        }
        if !backoff.sleep(deadline, &context.random) {
            return Ok(Acquired::Never);
        }
    }
}

/// Opens a state file; creates it, and the state directory, if they are missing.
pub(super) fn open(at: &Path, directory: &StateDirectory) -> Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(open::CAREFULLY.bits());
    let opened = options.open(at).or_else(|cause| match cause.kind() {
        ErrorKind::NotFound => {
            directory.prepare()?;
            options.open(at).map_err(|cause| cannot_write(&cause))
        }
        _ => Err(cannot_write(&cause)),
    })?;
    Ok(opened)
}

/// Reads a state file.
pub(super) fn content(file: &mut fs_err::File, metadata: &Metadata) -> io::Result<Vec<u8>> {
    let length = metadata.len().min(MAX_SIZE);
    let mut text = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(length).read_to_end(&mut text)?;
    Ok(text)
}
