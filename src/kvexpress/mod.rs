//! Called by the name `kvexpress`, `kvx` takes kvexpress's own command lines, so that watches and scripts of years go on
//! unchanged. Words become an order of our own stories here; the stories know nothing of it.
//!
//! What kvexpress does is kept where somebody may rely on it. What it does against its users is not: a failure has a
//! status, a file that cannot be read is an error, and what cannot be understood is not passed over.

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

/// Whether an option or a variable means something under that name: it has few long options, and never heeded the address in
/// the environment.
pub fn knows(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => flags::FLAGS.iter().any(|flag| flag.long == long) || matches!(long, "help" | "version"),
        None => word != "CONSUL_HTTP_ADDR",
    }
}

/// The name that our own messages have, and that a lock tells people to call.
pub const PROGRAM: &str = "kvexpress";
