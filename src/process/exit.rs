//! How a program has ended.

use std::io;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// A program that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// How.
    pub how: ExitKind,
    /// The last signal that was passed on to it: it was told to end, and nobody knows what it would have done otherwise.
    pub told: Option<Signal>,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub enum ExitKind {
    /// By itself, or by a signal.
    Exited(ExitStatus),
    /// It took too long, and was ended.
    TooSlow,
    /// It wrote too much, and was ended.
    TooMuch,
    /// It exited, but something that it started could still write to its output when the time was over.
    NotAll,
    /// It took too long, could not even be killed, and is left.
    Left,
    /// The system would not let us watch it, so it was killed.
    Lost(io::ErrorKind),
}
