//! How a child program ended.

use std::io;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// How a child program ended, and whether a signal interrupted it.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// How the program ended.
    pub kind: ExitKind,
    /// The last signal that kvx passed on to the program. Its exit status then says nothing about the work it was
    /// started for.
    pub interrupted: Option<Signal>,
}

/// How a child program ended.
#[derive(Clone, Copy, Debug)]
pub enum ExitKind {
    /// It exited, or a signal ended it.
    Exited(ExitStatus),
    /// It exceeded the time limit and was terminated.
    TooSlow,
    /// Its output exceeded the limit, and it was terminated.
    TooMuch,
    /// It exited, but a process that it started still had its output open at the time limit.
    OutputOpen,
    /// It exceeded the time limit and did not end after SIGKILL; kvx stopped waiting for it.
    Unkillable,
    /// A system call that supervises it failed, so it was killed.
    Unsupervised(io::ErrorKind),
}
