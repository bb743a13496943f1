//! Files that the configuration names: a token, certificates, a key.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;

use crate::error::{Error, Result, Status};
use crate::input::{self, Trouble};
use crate::time::Deadline;

/// More than all CAs of the world take.
const LARGEST: usize = 4 * 1024 * 1024;
/// So long for a pipe, as from `<(vault read ...)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads one that `source` names.
///
/// # Errors
/// 78.
pub(crate) fn read(path: &Path, source: &str) -> Result<Vec<u8>> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = options.open(path).map_err(|cause| unreadable(source, &cause.to_string()))?;
    input::bounded(file.as_fd(), LARGEST, Deadline::within(PATIENCE)).map_err(|trouble| {
        let path = path.display();
        unreadable(
            source,
            &match trouble {
                Trouble::TooLarge => format!("{path} is larger than {LARGEST} bytes"),
                Trouble::TooSlow(limit) => format!("{path} has not ended within {}", humantime::format_duration(limit)),
                Trouble::Io(cause) => format!("{path}: {cause}"),
            },
        )
    })
}

pub(crate) fn unreadable(source: &str, cause: &str) -> Error {
    Status::Configuration.error(format!("{source}: {cause}; it must be there and readable for this user"))
}
