//! Running a child program (handler, check, input command): in its own process group, within a time limit, and with its
//! output read while it runs.

pub(crate) mod check;
mod exit;
mod failure;
pub mod handler;
mod output;
pub(crate) mod program;
pub(crate) mod signals;
mod sink;
mod start;
mod supervisor;

use std::io::{self, PipeReader};
use std::process::{Command, ExitStatus};
use std::time::Duration;

pub use self::exit::{Exit, ExitKind};
use self::failure::Attempt;
pub use self::sink::Leftovers;
use self::sink::Sink;
use self::start::start;
use self::supervisor::supervise;
use crate::process::output::ChildOutput;

/// Runs a program whose effect is wanted. An excerpt of its output goes to stderr. The run is over when the program
/// exits: kvx does not wait for processes that it left behind, and they find their output closed.
///
/// TERM, INT and HUP to this process are passed on to the program, and kvx waits for it.
///
/// # Errors
/// The program cannot be started; the error says why and what to do.
pub fn run_logged(
    command: Command,
    mut child_output: ChildOutput,
    leftovers: Leftovers,
    limit: Duration,
) -> io::Result<Exit> {
    let exit = run(command, Captured::StdoutAndStderr, limit, &mut Sink::PassOn(&mut child_output, leftovers))?;
    child_output.finish();
    Ok(exit)
}

/// Runs a program whose stdout is wanted, at most `max_bytes` of it. A part of the output is worth nothing, so the run
/// is over when the program has exited and no process has its stdout open. The program inherits stderr.
///
/// # Errors
/// The program cannot be started; the error says why and what to do.
pub fn capture(command: Command, limit: Duration, max_bytes: usize) -> io::Result<(Exit, Vec<u8>)> {
    let mut all = Vec::new();
    let exit = run(command, Captured::Stdout, limit, &mut Sink::Collect(&mut all, max_bytes))?;
    Ok((exit, all))
}

/// Runs one of kvx's own programs, which enforces its own limits and handles its own signals, and waits for it.
///
/// # Errors
/// The program cannot be started; the error says why and what to do.
pub fn run_unsupervised(command: &mut Command) -> io::Result<ExitStatus> {
    start(command).map_err(|cause| Attempt::new(command).explain(&cause))?.wait()
}

/// Which of a program's streams are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Captured {
    Stdout,
    StdoutAndStderr,
}

fn run(mut command: Command, captured: Captured, limit: Duration, sink: &mut Sink) -> io::Result<Exit> {
    let attempt = Attempt::new(&command);
    let exit = piped(&mut command, captured).and_then(|reader| supervise(command, reader, limit, sink));
    exit.map_err(|cause| attempt.explain(&cause))
}

fn piped(command: &mut Command, captured: Captured) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    if captured == Captured::StdoutAndStderr {
        command.stderr(writer.try_clone()?);
    }
    command.stdout(writer);
    Ok(reader)
}
