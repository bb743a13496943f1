//! Reads the document of an upload from a file, stdin, a URL or a command, limited in size and time.

mod http;
pub mod url;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;

use crate::context::Context;
use crate::document::guard::too_large;
use crate::error::{Error, Result, Status};
use crate::input::http::fetch;
use crate::input::url::Url;
use crate::process::{self, Exit, ExitKind};
use crate::util::read::{ReadError, bounded};
use crate::util::time::Deadline;

/// The source of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// stdin.
    Stdin,
    /// `-f FILE`.
    File(PathBuf),
    /// `-u URL`.
    Url(Url),
    /// `-- CMD ARGS`: the stdout of a program, which must exit with status 0.
    Command(Vec<OsString>),
}

impl Input {
    /// The path of the file, if the source is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Input::File(path) => Some(path),
            Input::Stdin | Input::Url(_) | Input::Command(_) => None,
        }
    }

    /// Reads a document of at most `max_size` bytes within `limit`.
    ///
    /// # Errors
    /// 74 if it cannot be read completely, 65 if it is larger.
    pub fn read(&self, max_size: usize, limit: Duration, context: &Context) -> Result<Vec<u8>> {
        match self {
            Input::Stdin => {
                context.hint_at_terminal("the document");
                let bytes = bounded(io::stdin().as_fd(), max_size, Deadline::within(limit));
                bytes.map_err(|cause| unreadable(cause, "stdin", max_size))
            }
            Input::File(path) => {
                let name = path.display().to_string();
                // Opening is non-blocking, so that a FIFO without a writer does not exceed the deadline; and a terminal does
                // not become the controlling terminal.
                let mut options = fs_err::OpenOptions::new();
                options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
                let file = options.open(path).map_err(|cause| {
                    Status::CannotRead.error(format!("{cause}; name a file that this user may read"))
                })?;
                let bytes = bounded(file.as_fd(), max_size, Deadline::within(limit));
                bytes.map_err(|cause| unreadable(cause, &name, max_size))
            }
            Input::Url(url) => fetch(url, max_size, limit, context),
            Input::Command(argv) => output(argv, max_size, limit),
        }
    }
}

fn unreadable(cause: ReadError, what: &str, max_size: usize) -> Error {
    match cause {
        ReadError::TooLarge => too_large("too large", max_size).of(what),
        ReadError::TooSlow(limit) => Status::CannotRead.error(format!(
            "{what} has not ended within {}; close it, or raise --timeout",
            humantime::format_duration(limit)
        )),
        ReadError::Io(cause) => {
            Status::CannotRead.error(format!("{what} cannot be read: {cause}; give a file, or a stream"))
        }
    }
}

fn output(argv: &[OsString], max_size: usize, limit: Duration) -> Result<Vec<u8>> {
    let [program, arguments @ ..] = argv else { return Err(Status::Usage.error("after -- a command is missing")) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let (program, within) = (program.to_string_lossy(), humantime::format_duration(limit));
    let failed = |why: String| Err(Status::CannotRead.error(format!("`{program}` {why}; nothing was uploaded")));
    match process::capture(command, limit, max_size) {
        Ok((Exit { interrupted: Some(signal), .. }, _)) => failed(format!("was told to end ({signal})")),
        Ok((Exit { kind, .. }, bytes)) => match kind {
            ExitKind::Exited(status) if status.success() => Ok(bytes),
            ExitKind::Exited(status) => failed(format!("failed ({status})")),
            ExitKind::Unsupervised(cause) => failed(format!("could not be watched ({cause}) and was killed")),
            ExitKind::TooMuch => Err(too_large("too large", max_size).of(format_args!("the output of `{program}`"))),
            ExitKind::OutputOpen => failed(format!(
                "has exited, but a program that it started still had its stdout open after {within} (--timeout)"
            )),
            ExitKind::TooSlow | ExitKind::Unkillable => failed(format!("took longer than {within} (--timeout)")),
        },
        Err(cause) => failed(format!("could not be run: {cause}")),
    }
}
