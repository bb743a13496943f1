//! Running somebody else's program: in its own process group and within a time limit, with its output read as it comes.

mod end;
mod running;
mod sink;

use std::io;
use std::process::Command;
use std::time::Duration;

pub use self::end::{End, Ended};
use self::running::supervise;
pub use self::sink::Leftovers;
use self::sink::Sink;
use crate::excerpt::Excerpt;

/// Runs a program for its work. Its output goes to our stderr, as an excerpt. It has ended when it exits: what it
/// leaves behind is not waited for, and finds the output closed.
///
/// TERM, INT and HUP to this process are passed on to it, and it is waited for.
///
/// # Errors
/// It cannot be started.
pub fn work(mut command: Command, mut excerpt: Excerpt, leftovers: Leftovers, limit: Duration) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let ended = supervise(command, reader, limit, &mut Sink::PassOn(&mut excerpt, leftovers))?;
    excerpt.end();
    Ok(ended)
}

/// Runs a program for its output, of at most `most` bytes. It counts as a whole or not at all: it has ended when the
/// program exits and nobody can write to it any more. Its stderr is ours.
///
/// # Errors
/// It cannot be started.
pub fn output(mut command: Command, limit: Duration, most: usize) -> io::Result<(Ended, Vec<u8>)> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer);
    let mut all = Vec::new();
    let ended = supervise(command, reader, limit, &mut Sink::Collect(&mut all, most))?;
    Ok((ended, all))
}
