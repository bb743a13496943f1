//! A program that runs: watched, told, and brought to its end.

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

/// After TERM, so long until KILL.
const GRACE: Duration = Duration::from_secs(5);
/// After KILL, so long until it is left alone: it hangs in the kernel.
const HOPELESS: Duration = Duration::from_secs(1);
/// So many reads empty the pipe of a program that has exited: 1 MiB, the most that a pipe of no special rights holds.
const ALL_READS: usize = 64;

/// Starts a program whose output can be read there, and sees to it until its end.
pub(super) fn supervise(
    mut command: Command,
    reader: PipeReader,
    limit: Duration,
    sink: &mut Sink,
) -> io::Result<Exit> {
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // With a terminal the group must stay the foreground's, or a program that reads from it would be stopped.
    let group = if io::stdin().is_terminal() { Group::Ours } else { Group::Its };
    if group == Group::Its {
        command.process_group(0);
    }
    let signals = Signals::held()?; // Before it starts, so that none is lost.
    let child = start(&mut command);
    drop(command); // And our ends of its pipe.
    let running = Running { child: child?, group, reader: Some(reader), stage: Stage::Free, told: None };
    Ok(running.until_its_end(&signals, Deadline::within(limit), sink))
}

/// Whose process group it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Ours,
    Its,
}

/// How far it was brought to its end, and why.
#[derive(Clone, Copy)]
enum Stage {
    Free,
    Asked(ExitKind),
    Killed(ExitKind),
}

struct Running {
    child: Child,
    group: Group,
    /// None once everybody who could write has closed it, or nobody reads it any more.
    reader: Option<PipeReader>,
    stage: Stage,
    told: Option<Signal>,
}

impl Running {
    fn until_its_end(mut self, signals: &Signals, deadline: Deadline, sink: &mut Sink) -> Exit {
        let how = self.watch(signals, deadline, sink).unwrap_or_else(|cause| {
            self.signal(Signal::SIGKILL); // What nobody watches must not go on.
            self.await_end(Deadline::within(HOPELESS));
            ExitKind::Lost(cause.kind())
        });
        Exit { how, told: self.told }
    }

    /// Without a watch.
    fn await_end(&mut self, deadline: Deadline) {
        let mut pause = Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
        let random = Random::seeded(0);
        while matches!(self.child.try_wait(), Ok(None)) && pause.sleep(deadline, &random) {}
    }

    fn watch(&mut self, signals: &Signals, mut deadline: Deadline, sink: &mut Sink) -> io::Result<ExitKind> {
        loop {
            let exited = self.has_exited()?;
            let satisfied = self.drain(exited, sink);
            match (exited, self.stage) {
                (true, Stage::Asked(why) | Stage::Killed(why)) => return self.leave(why),
                (true, Stage::Free) => match (&sink, self.told) {
                    (Sink::PassOn(_, Leftovers::Stay), _) => return self.exited(),
                    (Sink::PassOn(_, Leftovers::Go), _) => return self.exited_alone(),
                    (Sink::Collect(..), _) if !satisfied => return self.leave(ExitKind::TooMuch),
                    (Sink::Collect(..), _) if self.reader.is_none() => return self.exited(),
                    (Sink::Collect(..), Some(_)) => return self.exited_alone(),
                    (Sink::Collect(..), None) if deadline.left().is_zero() => return self.leave(ExitKind::NotAll),
                    (Sink::Collect(..), None) => {}
                },
                (false, Stage::Free) if !satisfied => deadline = self.ask(ExitKind::TooMuch),
                (false, Stage::Free) if deadline.left().is_zero() => deadline = self.ask(ExitKind::TooSlow),
                (false, Stage::Asked(why)) if deadline.left().is_zero() => deadline = self.kill(why),
                (false, Stage::Killed(_)) if deadline.left().is_zero() => return Ok(ExitKind::Left),
                (false, _) => {}
            }
            self.wait(signals, deadline)?;
            signals.arrived().for_each(|signal| self.pass_on(signal));
        }
    }

    fn signal(&self, signal: Signal) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        // A program that a terminal has stopped would not see it before it goes on.
        for signal in [signal, Signal::SIGCONT] {
            // It may have ended by now: then there is nobody to tell.
            let _ = match self.group {
                Group::Its => killpg(pid, signal),
                Group::Ours => kill(pid, signal),
            };
        }
    }

    /// A signal to us is one to it. But what a terminal sends, it sends to all of a group.
    fn pass_on(&mut self, signal: Signal) {
        self.told = Some(signal);
        if self.group == Group::Its || signal == Signal::SIGTERM {
            self.signal(signal);
        }
    }

    fn ask(&mut self, why: ExitKind) -> Deadline {
        self.stage = Stage::Asked(why);
        self.signal(Signal::SIGTERM);
        Deadline::within(GRACE)
    }

    fn kill(&mut self, why: ExitKind) -> Deadline {
        self.stage = Stage::Killed(why);
        self.signal(Signal::SIGKILL);
        Deadline::within(HOPELESS)
    }

    /// Whether it has; but it is not reaped yet, so that its number, and its group's, are still its own.
    fn has_exited(&self) -> io::Result<bool> {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return Ok(false) };
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        Ok(waitid(Id::Pid(pid), look)? != WaitStatus::StillAlive)
    }

    fn exited(&mut self) -> io::Result<ExitKind> {
        self.child.wait().map(ExitKind::Exited)
    }

    /// It has exited, but what it started may not have.
    fn exited_alone(&mut self) -> io::Result<ExitKind> {
        if self.group == Group::Its {
            self.signal(Signal::SIGKILL);
        }
        self.exited()
    }

    /// The same, but why is known.
    fn leave(&mut self, why: ExitKind) -> io::Result<ExitKind> {
        self.exited_alone().map(|_| why)
    }

    /// Until a signal, output, or the deadline.
    fn wait(&self, signals: &Signals, deadline: Deadline) -> io::Result<()> {
        let mut interest = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        interest.extend(self.reader.as_ref().map(|reader| PollFd::new(reader.as_fd(), PollFlags::POLLIN)));
        match poll(&mut interest, deadline.for_poll()) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads some of what is there, or all of it once the program has exited and can write no more; false when the sink
    /// has had enough, and then nothing is read any more.
    fn drain(&mut self, exited: bool, sink: &mut Sink) -> bool {
        let mut buffer = [0; 16 * 1024];
        let reads = if exited { ALL_READS } else { 1 };
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
