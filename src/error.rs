//! What can go wrong, as the person at the terminal and the script see it: one line and an exit status.

use std::fmt;

/// The published exit statuses, in the terms of `sysexits.h`. Success is 0 and has no variant: whatever is meant to be
/// (unchanged, stopped, locked) is a success, since Consul Template and `consul watch` end when their command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The handler failed, or could not be run. It stays pending.
    HandlerFailed = 1,
    /// The command line makes no sense.
    Usage = 64,
    /// A guard refused the document (too short, too large, wrong checksum), or the payload is none.
    Refused = 65,
    /// The key is not in Consul.
    NoSuchKey = 66,
    /// Consul cannot be reached, or does not answer as Consul does.
    Unavailable = 69,
    /// The file, or what kvx records of it, cannot be written.
    CannotWrite = 73,
    /// The input cannot be read.
    CannotRead = 74,
    /// Somebody else was faster, is busy with it or is half done: try again.
    TryAgain = 75,
    /// Consul's ACLs deny it.
    Denied = 77,
    /// The environment or a file it names makes no sense.
    Configuration = 78,
}

impl Status {
    /// An error with this status. The message is one line: what failed, on which key or path, why, and the remedy.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error { status: self, message: message.into(), kind: None }
    }
}

/// A failure that is counted as what it is, not only as one with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A document of fewer lines than `-l`.
    TooShort,
    /// Data and checksum in Consul do not belong together.
    Torn,
}

/// A failure on its way up to the binary, the only place that prints it.
#[derive(Clone, Debug)]
pub struct Error {
    status: Status,
    message: String,
    kind: Option<Kind>,
}

/// What every fallible function here returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit status to end with.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What it is counted as.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The same failure, counted as this.
    pub fn counted_as(self, kind: Kind) -> Error {
        Error { kind: Some(kind), ..self }
    }

    /// The same failure, said of `subject` (a key, a path).
    pub fn of(self, subject: impl fmt::Display) -> Error {
        Error { message: format!("{subject}: {}", self.message), ..self }
    }

    /// The same failure, with what follows from it.
    pub fn and(self, consequence: &str) -> Error {
        Error { message: format!("{}; {consequence}", self.message), ..self }
    }
}

impl Error {
    /// The same failure for a program that does not have all of our options: without the remedies that name only others. A wrong
    /// one is worse than none.
    pub fn without_remedies_but(self, knows: fn(&str) -> bool) -> Error {
        let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_variable = |word: &str| word.contains('_') && !word.contains(|c: char| c.is_ascii_lowercase());
        let is_name = |word: &&str| word.starts_with('-') || is_variable(word);
        let misleads = |clause: &str| {
            let mut names = clause.split(|c| !is_of_a_name(c)).filter(is_name).peekable();
            names.peek().is_some() && !names.any(knows)
        };
        let mut clauses = self.message.split("; ");
        let what = clauses.next().unwrap_or_default().to_owned();
        let remedies = clauses.filter(|clause| !misleads(clause));
        let message = remedies.fold(what, |message, clause| format!("{message}; {clause}"));
        Error { message, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
