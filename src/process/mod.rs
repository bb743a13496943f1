//! Running somebody else's program: in its own process group and within a time limit, with its output read as it comes.

pub mod check;
mod exit;
mod failure;
pub mod handler;
mod output;
pub mod program;
pub mod signals;
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

/// Runs a program for its work. Its output goes to our stderr, as an excerpt. It has ended when it exits: what it
/// leaves behind is not waited for, and finds the output closed.
///
/// TERM, INT and HUP to this process are passed on to it, and it is waited for.
///
/// # Errors
/// It cannot be started: why, and what to do about it.
pub fn work(command: Command, mut excerpt: ChildOutput, leftovers: Leftovers, limit: Duration) -> io::Result<Exit> {
    let ended = run(command, Output::Both, limit, &mut Sink::PassOn(&mut excerpt, leftovers))?;
    excerpt.end();
    Ok(ended)
}

/// Runs a program for its output, of at most `most` bytes. It counts as a whole or not at all: it has ended when the
/// program exits and nobody can write to it any more. Its stderr is ours.
///
/// # Errors
/// It cannot be started: why, and what to do about it.
pub fn output(command: Command, limit: Duration, most: usize) -> io::Result<(Exit, Vec<u8>)> {
    let mut all = Vec::new();
    let ended = run(command, Output::Stdout, limit, &mut Sink::Collect(&mut all, most))?;
    Ok((ended, all))
}

/// Runs one of our own programs, which sees to its own limits and signals, and waits for it.
///
/// # Errors
/// It cannot be started: why, and what to do about it.
pub fn run_through(command: &mut Command) -> io::Result<ExitStatus> {
    start(command).map_err(|cause| Attempt::of(command).explain(&cause))?.wait()
}

/// What of a program's output is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Stdout,
    /// stderr, too.
    Both,
}

fn run(mut command: Command, output: Output, limit: Duration, sink: &mut Sink) -> io::Result<Exit> {
    let attempt = Attempt::of(&command);
    let ended = piped(&mut command, output).and_then(|reader| supervise(command, reader, limit, sink));
    ended.map_err(|cause| attempt.explain(&cause))
}

fn piped(command: &mut Command, output: Output) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    if output == Output::Both {
        command.stderr(writer.try_clone()?);
    }
    command.stdout(writer);
    Ok(reader)
}
