//! The command that runs after a new file was installed. It knows neither the file nor Consul.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{Result, Status};
use crate::process::output::ChildOutput;
use crate::process::program::{Program, Variables};
use crate::process::{self, Exit, ExitKind, Leftovers};
use crate::telemetry::log::Logger;

/// A handler: a program with a time limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The program and its arguments.
    pub program: Program,
    /// The time limit.
    pub limit: Duration,
}

impl Handler {
    /// The handler's id in the state file: a hash of its argv.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for word in self.program.words() {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs the handler and waits for it, within its time limit. Its output goes to `logger`.
    ///
    /// # Errors
    /// 1: it cannot be started, exceeds its time limit, is interrupted, or exits with a status other than 0.
    pub fn run(&self, variables: &Variables, logger: &Logger) -> Result<()> {
        let limit = humantime::format_duration(self.limit);
        let failed = |why: String| Err(Status::HandlerFailed.error(format!("the handler `{}` {why}", self.program)));
        let output = ChildOutput::new("handler", logger);
        match process::run_logged(self.program.command(variables), output, Leftovers::Keep, self.limit) {
            // A program that a signal interrupts may exit with 0 without having reloaded anything.
            Ok(Exit { interrupted: Some(signal), kind: ExitKind::Exited(status) }) => {
                failed(format!("was interrupted by {signal} ({status})"))
            }
            Ok(Exit { kind, .. }) => match kind {
                ExitKind::Exited(status) if status.success() => Ok(()),
                ExitKind::Exited(status) => failed(format!("failed ({status})")),
                ExitKind::Unkillable => failed(format!("took longer than {limit} and could not be killed")),
                ExitKind::Unsupervised(cause) => failed(format!("could not be watched ({cause}) and was killed")),
                ExitKind::TooSlow | ExitKind::TooMuch | ExitKind::OutputOpen => {
                    failed(format!("took longer than {limit} and was stopped; --handler-timeout allows more"))
                }
            },
            Err(cause) => failed(format!("could not be run: {cause}")),
        }
    }
}
