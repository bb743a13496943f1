//! stderr: ours to tell, and a handler's output to pass on. Nobody waits for ever for somebody who does not read it, and
//! a closed one is no error.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// As much as a pipe takes at once, without blocking, when it says that it is writable.
const A_PIPEFUL: usize = 4096;
/// So long, in ms, a reader may be busy with something else.
const PATIENCE: u16 = 1000;

/// Writes a line, in one write, so that lines of several processes do not mix.
pub fn tell(line: &str) {
    // One line: a name or an argument in it may have a newline of its own.
    let mut line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.push('\n');
    Stderr::default().pass_on(line.as_bytes());
}

/// stderr while somebody else's output is passed on to it.
#[derive(Debug, Default)]
pub struct Stderr {
    line_is_open: bool,
    /// Its reader did not read: the rest is dropped.
    is_stuck: bool,
}

impl Stderr {
    /// Writes bytes as they are.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        let mut stderr = io::stderr();
        for piece in bytes.chunks(A_PIPEFUL) {
            let mut interest = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
            self.is_stuck = self.is_stuck || !matches!(poll(&mut interest, PollTimeout::from(PATIENCE)), Ok(1..));
            if self.is_stuck || stderr.write_all(piece).is_err() {
                return;
            }
            self.line_is_open = piece.last().is_some_and(|&last| last != b'\n');
        }
    }

    /// Ends a line that was left open.
    pub fn end_line(&mut self) {
        if self.line_is_open {
            self.pass_on(b"\n");
        }
    }
}
