//! stderr: ours to tell, and a handler's output to pass on. Nobody waits for ever for somebody who does not read it, and
//! a closed one is no error. The same for stdout, where a run is asked to log there.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use crate::util::text;
use crate::util::time::Deadline;

/// As much as a pipe takes at once, without blocking, when it says that it is writable.
const A_PIPEFUL: usize = 4096;
/// So long, all in all, its reader may be busy with something else.
const PATIENCE: Duration = Duration::from_secs(1);
/// Until the next try, where a stream that says it is writable takes nothing.
const PAUSE: Duration = Duration::from_millis(5);

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
    let way = WriteMethod::to(stream);
    let mut rest = bytes;
    while !rest.is_empty() {
        let waited = Deadline::within(patience);
        let mut interest = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        let ready = loop {
            match poll(&mut interest, waited.for_poll()) {
                Err(Errno::EINTR) => {} // A signal that is held, or the end of the program whose output this is.
                polled => break matches!(polled, Ok(1..)),
            }
        };
        patience = waited.left();
        if !ready {
            break;
        }
        let piece = rest.get(..A_PIPEFUL).unwrap_or(rest);
        let written = match &way {
            WriteMethod::Reopened(again) => (&*again).write(piece),
            WriteMethod::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                send(stream.as_fd().as_raw_fd(), piece, flags).map_err(io::Error::from)
            }
            WriteMethod::Direct => stream.write(piece),
        };
        match written {
            Ok(0) => break,
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE.min(patience)),
            Err(_) => break,
        }
    }
    patience
}

/// How a stream is written to without waiting. It is not enough that it says it is writable: of a terminal, that means room for a
/// byte, and whoever else writes to it may take the room.
#[derive(Debug)]
enum WriteMethod {
    /// A pipe or a terminal, opened once more: not to wait is a property of what is opened, and that is shared with others, who
    /// do not expect it.
    Reopened(File),
    Socket,
    /// What never waits, as a file; and what may not be opened.
    Direct,
}

impl WriteMethod {
    fn to(stream: &impl AsFd) -> WriteMethod {
        let descriptor = stream.as_fd();
        let kind = fstat(descriptor).map_or(SFlag::empty(), |is| SFlag::from_bits_truncate(is.st_mode) & SFlag::S_IFMT);
        match kind {
            SFlag::S_IFSOCK => WriteMethod::Socket,
            SFlag::S_IFIFO | SFlag::S_IFCHR
                if (kind == SFlag::S_IFIFO || descriptor.is_terminal()) && is_for_writing(descriptor) =>
            {
                let mut options = OpenOptions::new();
                options.write(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
                let again = options.open(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
                again.map_or(WriteMethod::Direct, WriteMethod::Reopened)
            }
            _ => WriteMethod::Direct,
        }
    }
}

/// Whether this was opened to be written. What was not is not opened once more either: whoever gave it may not write it, while
/// this user may.
fn is_for_writing(descriptor: BorrowedFd) -> bool {
    let flags = fcntl(descriptor, FcntlArg::F_GETFL).map_or(OFlag::O_PATH, OFlag::from_bits_truncate);
    !flags.contains(OFlag::O_PATH) && matches!(flags & OFlag::O_ACCMODE, OFlag::O_WRONLY | OFlag::O_RDWR)
}
