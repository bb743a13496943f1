//! Progress lines on a terminal. A file or a pipe gets none.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

/// Replaces the previous progress line.
pub fn say(line: impl Display) {
    if stderr().is_terminal() {
        drop(write!(stderr(), "\r\x1b[K{line}"));
    }
}

/// Removes the progress line, before other output.
pub fn clear() {
    say("");
}
