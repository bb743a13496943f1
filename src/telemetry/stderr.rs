//! Writing to stderr: kvx's own lines, and the output of child programs. kvx does not wait forever for a reader that
//! does not read, and a closed stderr is not an error. The same holds for stdout, if the log goes there.

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

/// The number of bytes that a pipe accepts without blocking once poll says that it is writable.
const PIPE_WRITE: usize = 4096;
/// The total time that kvx waits for the reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before the next attempt, when a stream that is writable accepts nothing.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes a line to stderr, in one write unless it is very long, so that lines of several processes do not mix.
pub fn print_line(line: &str) {
    Stderr::default().pass_on(one_line(line).as_bytes());
}

/// Writes a line to stdout.
pub fn print_line_to_stdout(line: &str) {
    let mut stdout = io::stdout();
    write_patiently(&mut stdout, one_line(line).as_bytes(), PATIENCE);
    let _ = stdout.flush(); // An error means that the reader has closed it.
}

/// The line with one newline at its end. A name or an argument in it may contain newlines, which are escaped.
fn one_line(line: &str) -> String {
    let mut line = text::line(line).into_owned();
    line.push('\n');
    line
}

/// stderr, while the output of a child program is passed on to it.
#[derive(Debug)]
pub struct Stderr {
    /// The rest of the time to wait. After that, output that would block is dropped.
    patience: Duration,
}

impl Default for Stderr {
    fn default() -> Stderr {
        Stderr { patience: PATIENCE }
    }
}

impl Stderr {
    /// Writes bytes unchanged.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        self.patience = write_patiently(&mut io::stderr(), bytes, self.patience);
    }
}

/// Writes what the stream accepts within this time, and returns the rest of the time.
fn write_patiently(stream: &mut (impl Write + AsFd), bytes: &[u8], mut patience: Duration) -> Duration {
    let method = WriteMethod::to(stream);
    let mut rest = bytes;
    while !rest.is_empty() {
        let waited = Deadline::within(patience);
        let mut interest = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        let ready = loop {
            match poll(&mut interest, waited.for_poll()) {
                Err(Errno::EINTR) => {} // A signal to this process, or SIGCHLD.
                polled => break matches!(polled, Ok(1..)),
            }
        };
        patience = waited.left();
        if !ready {
            break;
        }
        let piece = rest.get(..PIPE_WRITE).unwrap_or(rest);
        let written = match &method {
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

/// How to write to a stream without blocking. That poll says it is writable is not enough: for a terminal, it means
/// room for one byte, and another process may take that room first.
#[derive(Debug)]
enum WriteMethod {
    /// A pipe or a terminal, opened again with O_NONBLOCK. The flag belongs to the open file description, which is
    /// shared with other processes that do not expect it.
    Reopened(File),
    Socket,
    /// A stream that never blocks, such as a file, or one that cannot be opened again.
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

/// Whether the descriptor is open for writing. If it is not, it is not reopened either: the process that passed it may not be
/// allowed to write it, while this user is.
fn is_for_writing(descriptor: BorrowedFd) -> bool {
    let flags = fcntl(descriptor, FcntlArg::F_GETFL).map_or(OFlag::O_PATH, OFlag::from_bits_truncate);
    !flags.contains(OFlag::O_PATH) && matches!(flags & OFlag::O_ACCMODE, OFlag::O_WRONLY | OFlag::O_RDWR)
}
