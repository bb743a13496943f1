//! Starting a program, with what it inherits of ours as it expects it.

use std::io::{self, ErrorKind};
use std::process::{Child, Command};
use std::time::Duration;

use crate::process::signals;
use crate::util::time::{Backoff, Deadline, Random};

/// A program that is being replaced is busy for a moment: as long as another process has it open to write.
const BUSY: Duration = Duration::from_secs(1);

/// Starts it, with an empty signal mask and default actions; signals that this process ignores stay ignored.
///
/// # Errors
/// The system's own.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let (deadline, random) = (Deadline::within(BUSY), Random::seeded(0));
    let mut pause = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    loop {
        match signals::spawn(command) {
            Err(cause) if cause.kind() == ErrorKind::ExecutableFileBusy && pause.sleep(deadline, &random) => {}
            started => return started,
        }
    }
}
