//! Supervises a running child program: reads its output, passes signals on, and enforces its time limit.

use std::io::{self, IsTerminal, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::exit::{Exit, ExitKind};
use super::sink::{Leftovers, Sink};
use super::start::start;
use crate::process::signals::Signals;
use crate::util::time::{Backoff, Deadline, Random};

/// The time between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(5);
/// The time to wait for the program after SIGKILL. A program that is still there then hangs in the kernel.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// The number of reads that empty the pipe of a program that has exited: 1 MiB, the largest pipe of an unprivileged
/// process.
const READS_TO_EMPTY_PIPE: usize = 64;

/// Starts a program whose output `reader` reads, and supervises it until it ends.
pub(super) fn supervise(
    mut command: Command,
    reader: PipeReader,
    limit: Duration,
    sink: &mut Sink,
) -> io::Result<Exit> {
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // On a terminal, the program must stay in the foreground group, or reading from the terminal would stop it.
    let group = if io::stdin().is_terminal() { ProcessGroup::Shared } else { ProcessGroup::Own };
    if group == ProcessGroup::Own {
        command.process_group(0);
    }
    let signals = Signals::hold()?; // Before the program starts, so that no signal is lost.
    let child = start(&mut command);
    drop(command); // It holds the write end of the pipe.
    let supervisor =
        Supervisor { child: child?, group, reader: Some(reader), stage: Stage::Running, interrupted: None };
    Ok(supervisor.run(&signals, Deadline::within(limit), sink))
}

/// The process group of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProcessGroup {
    /// The group of this process.
    Shared,
    /// A group of its own.
    Own,
}

/// Whether the supervisor is ending the program, and why.
#[derive(Clone, Copy)]
enum Stage {
    Running,
    Terminating(ExitKind),
    Killed(ExitKind),
}

struct Supervisor {
    child: Child,
    group: ProcessGroup,
    /// None once all writers have closed the pipe, or once the output is not read any more.
    reader: Option<PipeReader>,
    stage: Stage,
    interrupted: Option<Signal>,
}

impl Supervisor {
    fn run(mut self, signals: &Signals, deadline: Deadline, sink: &mut Sink) -> Exit {
        let kind = self.watch(signals, deadline, sink).unwrap_or_else(|cause| {
            self.signal(Signal::SIGKILL); // A program without supervision must not keep running.
            self.await_end(Deadline::within(KILL_GRACE));
            ExitKind::Unsupervised(cause.kind())
        });
        Exit { kind, interrupted: self.interrupted }
    }

    /// Waits for the end by polling, without signals and output.
    fn await_end(&mut self, deadline: Deadline) {
        let mut pause = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
        let random = Random::seeded(0);
        while matches!(self.child.try_wait(), Ok(None)) && pause.sleep(deadline, &random) {}
    }

    fn watch(&mut self, signals: &Signals, mut deadline: Deadline, sink: &mut Sink) -> io::Result<ExitKind> {
        loop {
            let exited = self.has_exited()?;
            let within_limit = self.drain(exited, sink);
            match (exited, self.stage) {
                (true, Stage::Terminating(why) | Stage::Killed(why)) => return self.end_as(why),
                (true, Stage::Running) => match (&sink, self.interrupted) {
                    (Sink::PassOn(_, Leftovers::Keep), _) => return self.reap(),
                    (Sink::PassOn(_, Leftovers::Kill), _) => return self.kill_group_and_reap(),
                    (Sink::Collect(..), _) if !within_limit => return self.end_as(ExitKind::TooMuch),
                    (Sink::Collect(..), _) if self.reader.is_none() => return self.reap(),
                    (Sink::Collect(..), Some(_)) => return self.kill_group_and_reap(),
                    (Sink::Collect(..), None) if deadline.left().is_zero() => return self.end_as(ExitKind::OutputOpen),
                    (Sink::Collect(..), None) => {}
                },
                (false, Stage::Running) if !within_limit => deadline = self.terminate(ExitKind::TooMuch),
                (false, Stage::Running) if deadline.left().is_zero() => deadline = self.terminate(ExitKind::TooSlow),
                (false, Stage::Terminating(why)) if deadline.left().is_zero() => deadline = self.kill(why),
                (false, Stage::Killed(_)) if deadline.left().is_zero() => return Ok(ExitKind::Unkillable),
                (false, _) => {}
            }
            self.wait(signals, deadline)?;
            signals.take_arrived().for_each(|signal| self.pass_on(signal));
        }
    }

    fn signal(&self, signal: Signal) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        // A program that a terminal has stopped handles the signal only after SIGCONT.
        for signal in [signal, Signal::SIGCONT] {
            // The error is ignored: the program may have ended already.
            let _ = match self.group {
                ProcessGroup::Own => killpg(pid, signal),
                ProcessGroup::Shared => kill(pid, signal),
            };
        }
    }

    /// Passes a signal to this process on to the program. A terminal sends its signals to the whole group, so in a
    /// shared group the program has received SIGINT and SIGHUP already.
    fn pass_on(&mut self, signal: Signal) {
        self.interrupted = Some(signal);
        if self.group == ProcessGroup::Own || signal == Signal::SIGTERM {
            self.signal(signal);
        }
    }

    fn terminate(&mut self, why: ExitKind) -> Deadline {
        self.stage = Stage::Terminating(why);
        self.signal(Signal::SIGTERM);
        Deadline::within(TERM_GRACE)
    }

    fn kill(&mut self, why: ExitKind) -> Deadline {
        self.stage = Stage::Killed(why);
        self.signal(Signal::SIGKILL);
        Deadline::within(KILL_GRACE)
    }

    /// Whether the program has exited. It is not reaped yet, so its process id and its group id cannot be reused.
    fn has_exited(&self) -> io::Result<bool> {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return Ok(false) };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(waitid(Id::Pid(pid), flags)? != WaitStatus::StillAlive)
    }

    fn reap(&mut self) -> io::Result<ExitKind> {
        self.child.wait().map(ExitKind::Exited)
    }

    /// Kills the processes that the program left in its group, then reaps the program.
    fn kill_group_and_reap(&mut self) -> io::Result<ExitKind> {
        if self.group == ProcessGroup::Own {
            self.signal(Signal::SIGKILL);
        }
        self.reap()
    }

    /// The same, for a program that was ended for this reason.
    fn end_as(&mut self, why: ExitKind) -> io::Result<ExitKind> {
        self.kill_group_and_reap().map(|_| why)
    }

    /// Waits for a signal, output, or the deadline.
    fn wait(&self, signals: &Signals, deadline: Deadline) -> io::Result<()> {
        let mut interest = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        interest.extend(self.reader.as_ref().map(|reader| PollFd::new(reader.as_fd(), PollFlags::POLLIN)));
        match poll(&mut interest, deadline.for_poll()) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads a piece of the output, or all of it once the program has exited. Returns false when the output exceeds the
    /// sink's limit; then nothing more is read.
    fn drain(&mut self, exited: bool, sink: &mut Sink) -> bool {
        let mut buffer = [0; 16 * 1024];
        let reads = if exited { READS_TO_EMPTY_PIPE } else { 1 };
        for _ in 0..reads {
            let Some(reader) = &mut self.reader else { break };
            match reader.read(&mut buffer) {
                Ok(0) => self.reader = None,
                Ok(n) if sink.take(buffer.get(..n).unwrap_or_default()) => {}
                Ok(_) => {
                    self.reader = None;
                    return false;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        true
    }
}
