//! Reading what may never end, or be too large: within a time and up to a size. And the files that the configuration names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};

use crate::error::{Error, Result, Status};
use crate::util::time::Deadline;

/// More than all CAs of the world take.
const LARGEST: usize = 4 * 1024 * 1024;
/// So long for a pipe, as from `<(vault read ...)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why reading ended early.
#[derive(Debug)]
pub enum ReadError {
    /// There is more than was allowed.
    TooLarge,
    /// No end within the deadline, so long.
    TooSlow(Duration),
    /// The system says.
    Io(io::Error),
}

/// Reads a descriptor to its end.
///
/// # Errors
/// [`ReadError`].
pub fn bounded(from: BorrowedFd, most: usize, deadline: Deadline) -> std::result::Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    let mut buffer = [0; 4 * 1024];
    loop {
        match poll(&mut [PollFd::new(from, PollFlags::POLLIN)], deadline.for_poll()) {
            Ok(0) => return Err(ReadError::TooSlow(deadline.limit())),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(ReadError::Io(errno.into())),
        }
        match nix::unistd::read(from, &mut buffer) {
            Ok(0) => return Ok(all),
            Ok(n) => all.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(ReadError::Io(errno.into())),
        }
        if all.len() > most {
            return Err(ReadError::TooLarge);
        }
        if deadline.left().is_zero() {
            return Err(ReadError::TooSlow(deadline.limit()));
        }
    }
}

/// Reads a file of the configuration, such as a token or a certificate, that `source` names.
///
/// # Errors
/// 78.
pub fn named(path: &Path, source: &str) -> Result<Vec<u8>> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = options.open(path).map_err(|cause| unreadable(source, &cause.to_string()))?;
    bounded(file.as_fd(), LARGEST, Deadline::within(PATIENCE)).map_err(|trouble| {
        let path = path.display();
        unreadable(
            source,
            &match trouble {
                ReadError::TooLarge => format!("{path} is larger than {LARGEST} bytes"),
                ReadError::TooSlow(limit) => {
                    format!("{path} has not ended within {}", humantime::format_duration(limit))
                }
                ReadError::Io(cause) => format!("{path}: {cause}"),
            },
        )
    })
}

/// A file of the configuration cannot be read.
pub fn unreadable(source: &str, cause: &str) -> Error {
    Status::Configuration.error(format!("{source}: {cause}; it must be there and readable for this user"))
}
