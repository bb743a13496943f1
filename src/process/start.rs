//! Starting a program with the signal mask and signal actions that programs expect to inherit.

use std::io::{self, ErrorKind};
use std::process::{Child, Command};
use std::time::Duration;

use crate::process::signals;
use crate::util::time::{Backoff, Deadline, Random};

/// exec fails with ETXTBSY while another process has the program open for writing, as when it is being replaced. So the
/// start is retried for this long.
const BUSY_LIMIT: Duration = Duration::from_secs(1);

/// Starts the program with an empty signal mask and default actions. Signals that this process ignores stay ignored.
///
/// # Errors
/// The operating system's error.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let (deadline, random) = (Deadline::within(BUSY_LIMIT), Random::seeded(0));
    let mut pause = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    loop {
        match signals::spawn(command) {
            Err(cause) if cause.kind() == ErrorKind::ExecutableFileBusy && pause.sleep(deadline, &random) => {}
            started => return started,
        }
    }
}
