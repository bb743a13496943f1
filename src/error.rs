//! Errors: a message of one line, and the exit status.

use std::fmt;

/// The published exit statuses, with the numbers of `sysexits.h`. Success is 0 and has no variant. Intended outcomes
/// (unchanged, stopped, locked) are successes, since Consul Template and `consul watch` exit when their command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The handler failed or could not be run. It stays pending.
    HandlerFailed = 1,
    /// The command line is invalid.
    Usage = 64,
    /// A guard or check rejected the document, or stdin is not a payload.
    Refused = 65,
    /// The key does not exist in Consul.
    NoSuchKey = 66,
    /// Consul cannot be reached, or another server answers.
    Unavailable = 69,
    /// The file or its state cannot be written.
    CannotWrite = 73,
    /// The input cannot be read.
    CannotRead = 74,
    /// Another writer was faster, another run is busy, or an upload is unfinished. A retry can succeed.
    TryAgain = 75,
    /// Consul's ACLs deny it.
    Denied = 77,
    /// The configuration is invalid: the environment, or a file that it or an option names.
    Configuration = 78,
}

impl Status {
    /// An error with this status. The message is one line: what failed, on which key or path, why, and the remedy.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error { status: self, message: message.into(), kind: None }
    }
}

/// A kind of error that has its own metric, apart from that of its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The document has fewer lines than `-l`.
    TooShort,
    /// Data and checksum in Consul do not match.
    Torn,
}

/// An error. Only `cli` prints it and exits with its status.
#[derive(Clone, Debug)]
pub struct Error {
    status: Status,
    message: String,
    kind: Option<Kind>,
}

/// The result of kvx's own functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The kind, if it has its own metric.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Sets the kind.
    pub fn counted_as(self, kind: Kind) -> Error {
        Error { kind: Some(kind), ..self }
    }

    /// Prefixes the message with its subject, a key or a path.
    pub fn of(self, subject: impl fmt::Display) -> Error {
        Error { message: format!("{subject}: {}", self.message), ..self }
    }

    /// Appends a consequence or a remedy to the message.
    pub fn and(self, consequence: &str) -> Error {
        Error { message: format!("{}; {consequence}", self.message), ..self }
    }

    /// Removes the remedies that do not work in a program with fewer options, such as kvexpress. A remedy is a clause
    /// after the first `; `. It is removed if it names options or variables and the program knows none of them.
    pub fn without_remedies_but(self, knows: fn(&str) -> bool) -> Error {
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_variable = |word: &str| word.contains('_') && !word.contains(|c: char| c.is_ascii_lowercase());
        let is_name = |word: &&str| word.starts_with('-') || is_variable(word);
        let is_unusable = |clause: &str| {
            let mut names = clause.split(|c| !is_name_char(c)).filter(is_name).peekable();
            names.peek().is_some() && !names.any(knows)
        };
        let mut clauses = self.message.split("; ");
        let cause = clauses.next().unwrap_or_default().to_owned();
        let remedies = clauses.filter(|clause| !is_unusable(clause));
        let message = remedies.fold(cause, |message, clause| format!("{message}; {clause}"));
        Error { message, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
