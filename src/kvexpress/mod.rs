//! Called as `kvexpress`, `kvx` runs kvexpress's command lines, so that old watches and scripts keep working. This module
//! translates them into the orders of [`crate::upload`], [`crate::download`] and [`crate::operator`], which do not know of it.
//!
//! Behavior that users may rely on is kept. Behavior that harms them is not: a failure has an exit status, a file that cannot be
//! read is an error, and an unknown flag is an error.

mod config;
mod flags;
mod grammar;
mod help;
mod numbers;
mod orders;
mod owner;
mod subcommand;
mod values;

pub use self::flags::Flags;
pub use self::grammar::{Invocation, parse};
pub use self::help::{text as help, version};
pub use self::orders::{Job, Task, job};
pub use self::subcommand::Subcommand;

/// Whether kvexpress has this option or respects this environment variable. Remedies that name others are left out of its
/// messages. It does not respect CONSUL_HTTP_ADDR.
pub fn knows(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => flags::FLAGS.iter().any(|flag| flag.long == long) || matches!(long, "help" | "version"),
        None => word != "CONSUL_HTTP_ADDR",
    }
}

/// The program's name in messages and in the instructions of a lock marker.
pub const PROGRAM: &str = "kvexpress";
