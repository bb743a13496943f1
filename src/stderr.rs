//! stderr: ours to tell, and a handler's output to pass on. Nobody waits for ever for somebody who does not read it, and
//! a closed one is no error. The same for stdout, where a run is asked to log there.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use crate::text;
use crate::time::Deadline;

/// As much as a pipe takes at once, without blocking, when it says that it is writable.
const A_PIPEFUL: usize = 4096;
/// So long, all in all, its reader may be busy with something else.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes a line, in one write (unless it is very long), so that lines of several processes do not mix.
pub fn tell(line: &str) {
    Stderr::default().pass_on(one_line(line).as_bytes());
}

/// The same, to stdout.
pub fn tell_on_stdout(line: &str) {
    let mut stdout = io::stdout();
    write_patiently(&mut stdout, one_line(line).as_bytes(), PATIENCE);
    let _ = stdout.flush(); // Its reader has seen enough, or it is closed.
}

/// With its newline, and no other: a name or an argument in it may have one of its own.
fn one_line(line: &str) -> String {
    let mut line = text::line(line).into_owned();
    line.push('\n');
    line
}

/// stderr while somebody else's output is passed on to it.
#[derive(Debug)]
pub struct Stderr {
    /// What is left of it; after that, what would have to wait is dropped.
    patience: Duration,
}

impl Default for Stderr {
    fn default() -> Stderr {
        Stderr { patience: PATIENCE }
    }
}

impl Stderr {
    /// Writes bytes as they are.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        self.patience = write_patiently(&mut io::stderr(), bytes, self.patience);
    }
}

/// Writes what the stream takes within its patience, and returns what is left of that.
fn write_patiently(stream: &mut (impl Write + AsFd), bytes: &[u8], mut patience: Duration) -> Duration {
    for piece in bytes.chunks(A_PIPEFUL) {
        let waited = Deadline::within(patience);
        let mut interest = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        let ready = loop {
            match poll(&mut interest, waited.for_poll()) {
                Err(Errno::EINTR) => {} // A signal that is held, or the end of the program whose output this is.
                polled => break matches!(polled, Ok(1..)),
            }
        };
        patience = waited.left();
        if !ready || stream.write_all(piece).is_err() {
            break;
        }
    }
    patience
}
