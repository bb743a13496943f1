//! The command run once a new file is in place. Knows no file and no Consul.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{Result, Status};
use crate::process::{self, End};

/// Consul's credentials, and the mark by which a watch's handler is known: none of the handler's business.
const NOT_PASSED_ON: [&str; 4] = ["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_AUTH", "CONSUL_INDEX"];

/// A command: a program and its arguments, no shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    program: OsString,
    arguments: Vec<OsString>,
    limit: Duration,
}

impl Handler {
    /// From an argv; none where it is empty.
    pub fn new(argv: Vec<OsString>, limit: Duration) -> Option<Handler> {
        let mut argv = argv.into_iter();
        Some(Handler { program: argv.next()?, arguments: argv.collect(), limit })
    }

    /// Which handler this is, for the stamp: a hash of its argv.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for word in self.words() {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs it with these variables added to its environment, and waits for it, within its limit. Its output goes to
    /// stderr.
    ///
    /// # Errors
    /// 1: it cannot be started, takes too long, or ends with another status than 0.
    pub fn run(&self, variables: &[(&str, OsString)]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).envs(variables.iter().map(|(name, value)| (name, value)));
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        let limit = humantime::format_duration(self.limit);
        let failed = |how: String| Err(Status::HandlerFailed.error(format!("the handler `{self}` {how}")));
        match process::work(command, self.limit) {
            Ok(End::Exited(status)) if status.success() => Ok(()),
            Ok(End::Exited(status)) => failed(format!("failed ({status})")),
            Ok(End::Left) => failed(format!("took longer than {limit} and could not even be killed")),
            Ok(_) => failed(format!("took longer than {limit} and was stopped; --handler-timeout allows more")),
            Err(cause) => {
                failed(format!("could not be run: {cause}; is the program there, and executable for this user?"))
            }
        }
    }

    fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str))
    }
}

/// As a shell would take it.
impl std::fmt::Display for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.words().map(OsStr::to_string_lossy).collect();
        f.write_str(&shell_words::join(words))
    }
}
