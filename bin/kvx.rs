//! `kvx`: for the person at the terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    kvx::commands::kvx(std::env::args_os().skip(1).collect())
}
