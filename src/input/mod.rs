//! Reading what comes in, bounded in size and time: a document's bytes, or a watch's payload.

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

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// stdin.
    Stdin,
    /// `-f FILE`.
    File(PathBuf),
    /// `-u URL`.
    Url(Url),
    /// `-- CMD ARGS`: a program's stdout, which counts only if it exits 0.
    Command(Vec<OsString>),
}

impl Input {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Input::File(path) => Some(path),
            Input::Stdin | Input::Url(_) | Input::Command(_) => None,
        }
    }

    /// Reads it to its end, at most `most` bytes and within `limit`.
    ///
    /// # Errors
    /// 74 where it cannot be read to its end, 65 where it is larger.
    pub fn read(&self, most: usize, limit: Duration, context: &Context) -> Result<Vec<u8>> {
        match self {
            Input::Stdin => {
                context.hint_at_terminal("the document");
                let all = bounded(io::stdin().as_fd(), most, Deadline::within(limit));
                all.map_err(|trouble| cannot(trouble, "stdin", most))
            }
            Input::File(path) => {
                let name = path.display().to_string();
                // Not blocking, so that a FIFO that nobody writes to keeps to the deadline; and a terminal does not become ours.
                let mut options = fs_err::OpenOptions::new();
                options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
                let file = options.open(path).map_err(|cause| {
                    Status::CannotRead.error(format!("{cause}; name a file that this user may read"))
                })?;
                bounded(file.as_fd(), most, Deadline::within(limit)).map_err(|trouble| cannot(trouble, &name, most))
            }
            Input::Url(url) => fetch(url, most, limit, context),
            Input::Command(argv) => output(argv, most, limit),
        }
    }
}

/// Why a stream could not be read to its end, or was too large.
fn cannot(trouble: ReadError, what: &str, most: usize) -> Error {
    match trouble {
        ReadError::TooLarge => too_large("too large", most).of(what),
        ReadError::TooSlow(limit) => Status::CannotRead.error(format!(
            "{what} has not ended within {}; end it, or give it longer with --timeout",
            humantime::format_duration(limit)
        )),
        ReadError::Io(cause) => {
            Status::CannotRead.error(format!("{what} cannot be read: {cause}; give a file, or a stream"))
        }
    }
}

fn output(argv: &[OsString], most: usize, limit: Duration) -> Result<Vec<u8>> {
    let [program, arguments @ ..] = argv else { return Err(Status::Usage.error("after -- a command is missing")) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let (program, within) = (program.to_string_lossy(), humantime::format_duration(limit));
    let failed = |how: String| Err(Status::CannotRead.error(format!("`{program}` {how}; nothing was uploaded")));
    match process::capture(command, limit, most) {
        Ok((Exit { interrupted: Some(signal), .. }, _)) => failed(format!("was told to end ({signal})")),
        Ok((Exit { kind, .. }, all)) => match kind {
            ExitKind::Exited(status) if status.success() => Ok(all),
            ExitKind::Exited(status) => failed(format!("failed ({status})")),
            ExitKind::Unsupervised(cause) => failed(format!("could not be watched ({cause}) and was killed")),
            ExitKind::TooMuch => Err(too_large("too large", most).of(format_args!("the output of `{program}`"))),
            ExitKind::OutputOpen => failed(format!(
                "has exited, but something that it started could still write to its stdout after {within} (--timeout)"
            )),
            ExitKind::TooSlow | ExitKind::Unkillable => failed(format!("took longer than {within} (--timeout)")),
        },
        Err(cause) => failed(format!("could not be run: {cause}")),
    }
}
