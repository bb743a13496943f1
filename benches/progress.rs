//! What is being done, for a person who waits for it; nothing for a file or a pipe.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

/// In the place of what was said before.
pub fn say(line: impl Display) {
    if stderr().is_terminal() {
        drop(write!(stderr(), "\r\x1b[K{line}"));
    }
}

/// Before something is printed that is to stay.
pub fn clear() {
    say("");
}
