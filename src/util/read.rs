//! Reads streams and configuration files with limits of time and size.

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

/// The maximum size of a configuration file, in bytes. A bundle of all public CAs is smaller.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// The limit for a configuration file that is a pipe, such as `<(vault read ...)`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a stream was not read to its end.
#[derive(Debug)]
pub enum ReadError {
    /// The stream is larger than the limit.
    TooLarge,
    /// The stream has not ended within this time.
    TooSlow(Duration),
    /// The system's error.
    Io(io::Error),
}

/// Reads a descriptor to its end.
///
/// # Errors
/// The stream is larger than `max_size`, has not ended at the deadline, or cannot be read.
pub fn bounded(from: BorrowedFd, max_size: usize, deadline: Deadline) -> std::result::Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4 * 1024];
    loop {
        match poll(&mut [PollFd::new(from, PollFlags::POLLIN)], deadline.for_poll()) {
            Ok(0) => return Err(ReadError::TooSlow(deadline.limit())),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(ReadError::Io(errno.into())),
        }
        match nix::unistd::read(from, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(ReadError::Io(errno.into())),
        }
        if bytes.len() > max_size {
            return Err(ReadError::TooLarge);
        }
        if deadline.left().is_zero() {
            return Err(ReadError::TooSlow(deadline.limit()));
        }
    }
}

/// Reads a configuration file, such as a token or a certificate. `source` is the option or variable that names it.
///
/// # Errors
/// 78 if it cannot be read within the limits.
pub fn config_file(path: &Path, source: &str) -> Result<Vec<u8>> {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = options.open(path).map_err(|cause| unreadable(source, &cause.to_string()))?;
    bounded(file.as_fd(), MAX_SIZE, Deadline::within(TIMEOUT)).map_err(|cause| {
        let path = path.display();
        unreadable(
            source,
            &match cause {
                ReadError::TooLarge => format!("{path} is larger than {MAX_SIZE} bytes"),
                ReadError::TooSlow(limit) => {
                    format!("{path} has not ended within {}", humantime::format_duration(limit))
                }
                ReadError::Io(cause) => format!("{path}: {cause}"),
            },
        )
    })
}

/// The error for a configuration file that cannot be read.
pub fn unreadable(source: &str, cause: &str) -> Error {
    Status::Configuration.error(format!("{source}: {cause}; it must exist and be readable by this user"))
}
