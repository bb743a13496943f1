//! The context of a run: environment, randomness, logger and counters. Only the binaries create it from the process;
//! tests create their own.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::error::{Error, Result, Status};
use crate::telemetry::level::Level;
use crate::telemetry::log::Logger;
use crate::telemetry::outcome::{Direction, Outcome};
use crate::util::text;
use crate::util::time::Random;

/// How much a run logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Also warnings and changes, but not unchanged files.
    Normal,
    /// Also unchanged files, retries and other details.
    Verbose,
}

/// The context of a run.
#[derive(Debug)]
pub struct Context {
    /// Variables, command line and hostname.
    pub env: Env,
    /// Randomness for delays.
    pub random: Random,
    /// How much to log.
    pub verbosity: Verbosity,
    /// Where to log.
    pub logger: Logger,
    /// Whether this program knows an option or a variable, so that a remedy may name it.
    knows: fn(&str) -> bool,
    started: Instant,
    retries: Cell<u64>,
}

impl Context {
    /// The context of this process. The random seed is made of the clock and the process ID, which suffices for delays.
    pub fn of_this_process(verbosity: Verbosity, logger: Logger) -> Context {
        let process = std::process::id();
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_nanos();
        let seed = u64::try_from(clock & u128::from(u64::MAX)).unwrap_or(0) ^ (u64::from(process) << 32);
        Context {
            env: Env::of_this_process(),
            random: Random::seeded(seed),
            verbosity,
            logger,
            knows: |_| true,
            started: Instant::now(),
            retries: Cell::new(0),
        }
    }

    /// For a program that knows only some of kvx's options and variables, such as kvexpress.
    pub fn with_vocabulary(self, knows: fn(&str) -> bool) -> Context {
        Context { knows, ..self }
    }

    /// The options and variables of the list that this program knows.
    pub fn known<'w>(&self, words: &[&'w str]) -> Vec<&'w str> {
        words.iter().copied().filter(|word| (self.knows)(word)).collect()
    }

    /// The known options and variables as a choice: `-s or CONSUL_HTTP_ADDR`.
    pub fn either(&self, words: &[&str]) -> String {
        enumeration(&self.known(words), "or")
    }

    /// The known options and variables as an enumeration: `CONSUL_NAMESPACE and --dc`.
    pub fn all(&self, words: &[&str]) -> String {
        enumeration(&self.known(words), "and")
    }

    /// Counts a retry of a request to Consul, for metrics.
    pub fn count_retry(&self) {
        self.retries.set(self.retries.get().saturating_add(1));
    }

    /// The outcome of a run, to be completed by the caller.
    pub fn outcome(&self, direction: Direction, prefix: impl Display) -> Outcome {
        Outcome::new(direction, prefix, self.started.elapsed(), self.retries.get())
    }

    /// Logs the result of the run. A result that is not news is logged only with `-v`.
    pub fn conclude(&self, is_news: bool, line: impl FnOnce() -> String, outcome: Option<&Outcome>) {
        if self.verbosity == Verbosity::Verbose || (self.verbosity == Verbosity::Normal && is_news) {
            self.logger.conclude(&line(), outcome);
        }
    }

    /// Logs the error that ends the run.
    pub fn fail(&self, error: &Error, outcome: Option<&Outcome>) {
        let error = match error.status() {
            Status::Usage => error.clone().and(&format!("see {} --help", self.logger.program())),
            _ => error.clone(),
        };
        let error = error.without_remedies_but(self.knows);
        self.logger.fail(&error.to_string(), outcome);
    }

    /// Logs a line at this level, as far as the verbosity allows.
    pub fn note(&self, level: Level, line: &str) {
        match level {
            Level::Error | Level::Warn => self.warn(line),
            Level::Info => self.log(Level::Info, line),
            Level::Debug => self.detail(|| line.to_owned()),
        }
    }

    /// Logs a detail, with `-v` only.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.log(Level::Debug, &line());
        }
    }

    /// Logs a warning, unless only errors are to be logged.
    pub fn warn(&self, line: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.log(Level::Warn, line);
        }
    }

    /// If stdin is a terminal, logs that kvx reads from it, since it would otherwise seem to hang.
    pub fn hint_at_terminal(&self, what: &str) {
        if self.verbosity != Verbosity::Quiet && std::io::stdin().is_terminal() {
            self.log(Level::Info, &format!("reading {what} from the terminal; end it with Ctrl-D"));
        }
    }

    /// Whether the log goes to a terminal.
    pub fn is_at_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Logs why the run takes time, with `-v` or at a terminal.
    pub fn progress(&self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose || (self.verbosity == Verbosity::Normal && self.is_at_terminal()) {
            self.log(Level::Debug, &line());
        }
    }

    fn log(&self, level: Level, line: &str) {
        self.logger.log(level, line);
    }
}

fn enumeration(words: &[&str], conjunction: &str) -> String {
    match words {
        [words @ .., last] if !words.is_empty() => format!("{} {conjunction} {last}", words.join(", ")),
        words => words.concat(),
    }
}

/// Prints text from outside of kvx to stdout: unchanged to a file or pipe, escaped to a terminal.
///
/// # Errors
/// 73 if stdout cannot be written.
pub fn show(bytes: &[u8]) -> Result<()> {
    if std::io::stdout().is_terminal() { print(text::lines_of(bytes).as_bytes()) } else { print(bytes) }
}

/// Prints to stdout. A closed pipe is not an error.
///
/// # Errors
/// 73 if stdout cannot be written.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Status::CannotWrite.error(format!("stdout cannot be written: {cause}")))
        }
        _ => Ok(()),
    }
}
