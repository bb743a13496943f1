//! The command run once a new file is in place. Knows no file and no Consul.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{Result, Status};
use crate::process::output::ChildOutput;
use crate::process::program::{Program, Variables};
use crate::process::{self, Exit, ExitKind, Leftovers};
use crate::telemetry::log::Logger;

/// A command with a time limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// What to run.
    pub program: Program,
    /// How long it may take.
    pub limit: Duration,
}

impl Handler {
    /// Which handler this is, for the state: a hash of its argv.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for word in self.program.words() {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs it, and waits for it, within its limit. Its output goes into the logger.
    ///
    /// # Errors
    /// 1: it cannot be started, takes too long, or ends with another status than 0.
    pub fn run(&self, variables: &Variables, logger: &Logger) -> Result<()> {
        let limit = humantime::format_duration(self.limit);
        let failed = |how: String| Err(Status::HandlerFailed.error(format!("the handler `{}` {how}", self.program)));
        let output = ChildOutput::of("handler", logger);
        match process::work(self.program.command(variables), output, Leftovers::Stay, self.limit) {
            // What ends when it is told to may do so gracefully, and not have reloaded anything.
            Ok(Exit { told: Some(signal), how: ExitKind::Exited(status) }) => {
                failed(format!("was told to end ({signal}), and did ({status})"))
            }
            Ok(Exit { how, .. }) => match how {
                ExitKind::Exited(status) if status.success() => Ok(()),
                ExitKind::Exited(status) => failed(format!("failed ({status})")),
                ExitKind::Left => failed(format!("took longer than {limit} and could not even be killed")),
                ExitKind::Lost(cause) => failed(format!("could not be watched ({cause}) and was killed")),
                ExitKind::TooSlow | ExitKind::TooMuch | ExitKind::NotAll => {
                    failed(format!("took longer than {limit} and was stopped; --handler-timeout allows more"))
                }
            },
            Err(cause) => failed(format!("could not be run: {cause}")),
        }
    }
}
