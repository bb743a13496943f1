//! Running somebody else's program: in its own process group, within a time limit, with its output read as it comes, and
//! never waiting for more than the program itself.

use std::io::{self, IsTerminal, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::signals::Signals;
use crate::time::Deadline;

/// After TERM, so long until KILL.
const GRACE: Duration = Duration::from_secs(5);
/// After KILL, so long until it is left alone: it hangs in the kernel.
const HOPELESS: Duration = Duration::from_secs(1);
/// What a program has written when it ends is still read, up to this; what it left behind may write for ever.
const REST: usize = 1024 * 1024;

/// Which of its outputs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// stdout; stderr stays ours.
    Stdout,
    /// Both, as they come.
    Both,
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// By itself, or by a signal of somebody else's.
    Exited(ExitStatus),
    /// It was ended, since it took too long or the reader of its output had enough.
    Stopped,
    /// It could not even be killed, and is left.
    Left,
}

/// Runs a program and hands `sink` what it writes, until it ends. `sink` returns false when it has had enough.
///
/// TERM, INT and HUP to this process are passed on to it, and it is waited for. What it leaves behind in the background
/// is not: such a daemon finds its inherited output closed.
///
/// # Errors
/// It cannot be started.
pub fn run(
    mut command: Command,
    read: Capture,
    limit: Duration,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<End> {
    // Before it starts, so that no signal is lost.
    let signals = Signals::held()?;
    let (reader, writer) = io::pipe()?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if read == Capture::Both {
        command.stderr(writer.try_clone()?);
    }
    command.stdout(writer);
    // With a terminal the group must stay the foreground's, or a program that reads from it would be stopped.
    let own_group = !io::stdin().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let child = command.spawn();
    command.stdout(Stdio::null()).stderr(Stdio::null()); // Drops our ends of the pipe.
    let mut running = Running { child: child?, own_group, reader: Some(reader), phase: Phase::Free };
    let mut deadline = Deadline::within(limit);
    loop {
        if let Some(status) = running.child.try_wait()? {
            let satisfied = running.drain(REST, sink);
            if running.phase == Phase::Free && satisfied {
                return Ok(End::Exited(status));
            }
            if own_group {
                running.signal(Signal::SIGKILL); // What it started and did not take with it.
            }
            return Ok(End::Stopped);
        }
        if deadline.left().is_zero() {
            deadline = match running.phase {
                Phase::Free => running.end(Phase::Asked, Signal::SIGTERM, GRACE),
                Phase::Asked => running.end(Phase::Killed, Signal::SIGKILL, HOPELESS),
                Phase::Killed => return Ok(End::Left),
            };
        }
        running.wait(&signals, deadline)?;
        signals.arrived().for_each(|signal| running.signal(signal));
        if !running.drain(REST, sink) && running.phase == Phase::Free {
            deadline = running.end(Phase::Asked, Signal::SIGTERM, GRACE);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    Asked,
    Killed,
}

struct Running {
    child: Child,
    own_group: bool,
    /// None once everybody who could write has closed it.
    reader: Option<PipeReader>,
    phase: Phase,
}

impl Running {
    fn signal(&self, signal: Signal) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        // It may have ended by now: then there is nobody to tell.
        let _ = if self.own_group { killpg(pid, signal) } else { kill(pid, signal) };
    }

    fn end(&mut self, phase: Phase, signal: Signal, patience: Duration) -> Deadline {
        self.phase = phase;
        self.signal(signal);
        Deadline::within(patience)
    }

    /// Until a signal, output, or the deadline.
    fn wait(&self, signals: &Signals, deadline: Deadline) -> io::Result<()> {
        let mut interest = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        interest.extend(self.reader.as_ref().map(|reader| PollFd::new(reader.as_fd(), PollFlags::POLLIN)));
        match poll(&mut interest, patience(deadline)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what is there now, at most `most` bytes; false when the sink has had enough.
    fn drain(&mut self, most: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut buffer = [0; 16 * 1024];
        let mut rest = most;
        while let Some(reader) = &mut self.reader {
            match reader.read(&mut buffer) {
                Ok(0) => self.reader = None,
                Ok(n) => {
                    if !sink(buffer.get(..n).unwrap_or_default()) {
                        return false;
                    }
                    rest = rest.saturating_sub(n);
                    if rest == 0 {
                        break;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        true
    }
}

/// What poll(2) is to wait: rounded up, so that it does not spin through the last millisecond.
pub fn patience(deadline: Deadline) -> PollTimeout {
    PollTimeout::try_from(deadline.left().saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX)
}
