//! The command run once a new file is in place. Knows no file and no Consul.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{Result, Status};
use crate::process::output::Excerpt;
use crate::process::program::{Program, Variables};
use crate::process::{self, End, Ended, Leftovers};
use crate::telemetry::log::Journal;

/// A command with a time limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// What to run.
    pub program: Program,
    /// How long it may take.
    pub limit: Duration,
}

impl Handler {
    /// Which handler this is, for the stamp: a hash of its argv.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for word in self.program.words() {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs it, and waits for it, within its limit. Its output goes into the journal.
    ///
    /// # Errors
    /// 1: it cannot be started, takes too long, or ends with another status than 0.
    pub fn run(&self, variables: &Variables, journal: &Journal) -> Result<()> {
        let limit = humantime::format_duration(self.limit);
        let failed = |how: String| Err(Status::HandlerFailed.error(format!("the handler `{}` {how}", self.program)));
        let output = Excerpt::of("handler", journal);
        match process::work(self.program.command(variables), output, Leftovers::Stay, self.limit) {
            // What ends when it is told to may do so gracefully, and not have reloaded anything.
            Ok(Ended { told: Some(signal), how: End::Exited(status) }) => {
                failed(format!("was told to end ({signal}), and did ({status})"))
            }
            Ok(Ended { how, .. }) => match how {
                End::Exited(status) if status.success() => Ok(()),
                End::Exited(status) => failed(format!("failed ({status})")),
                End::Left => failed(format!("took longer than {limit} and could not even be killed")),
                End::Lost(cause) => failed(format!("could not be watched ({cause}) and was killed")),
                End::TooSlow | End::TooMuch | End::NotAll => {
                    failed(format!("took longer than {limit} and was stopped; --handler-timeout allows more"))
                }
            },
            Err(cause) => failed(format!("could not be run: {cause}")),
        }
    }
}
