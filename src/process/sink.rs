//! What becomes of a program's output, and of what it leaves behind.

use crate::process::output::ChildOutput;

/// What becomes of what a program has started, once it has exited itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// It may go on: a daemon.
    Stay,
    /// It is killed, as far as it is still in the program's process group.
    Go,
}

/// Where a program's output goes.
pub(super) enum Sink<'a, 'j> {
    /// To our stderr.
    PassOn(&'a mut ChildOutput<'j>, Leftovers),
    /// To us, as far as it is not more than that.
    Collect(&'a mut Vec<u8>, usize),
}

impl Sink<'_, '_> {
    /// False when it has had enough.
    pub fn take(&mut self, output: &[u8]) -> bool {
        match self {
            Sink::PassOn(excerpt, _) => {
                excerpt.take(output);
                true
            }
            Sink::Collect(all, most) if all.len().saturating_add(output.len()) <= *most => {
                all.extend_from_slice(output);
                true
            }
            Sink::Collect(..) => false,
        }
    }
}
