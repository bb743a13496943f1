//! What kvx does with a program's output, and with the processes that it leaves behind.

use crate::process::output::ChildOutput;

/// What kvx does with the processes that a program started, after the program itself has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They keep running: a handler may start a daemon.
    Keep,
    /// Those that are still in the program's process group are killed.
    Kill,
}

/// Where a program's output goes.
pub(super) enum Sink<'a, 'j> {
    /// To kvx's stderr.
    PassOn(&'a mut ChildOutput<'j>, Leftovers),
    /// Into memory, up to this number of bytes.
    Collect(&'a mut Vec<u8>, usize),
}

impl Sink<'_, '_> {
    /// Takes a piece of output. Returns false once the limit is exceeded.
    pub fn take(&mut self, output: &[u8]) -> bool {
        match self {
            Sink::PassOn(child_output, _) => {
                child_output.take(output);
                true
            }
            Sink::Collect(all, limit) if all.len().saturating_add(output.len()) <= *limit => {
                all.extend_from_slice(output);
                true
            }
            Sink::Collect(..) => false,
        }
    }
}
