//! What a run finds around it and did not choose: environment, chance, and who listens. The binaries make it; nothing
//! else in the library asks the process.

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

/// How much a run tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What was done; nothing where nothing was.
    Normal,
    /// Also what was not done, and what it waits for.
    Verbose,
}

/// The surroundings of a run.
#[derive(Debug)]
pub struct Context {
    /// Variables, the command line and the name of this node.
    pub env: Env,
    /// Chance, for jitter.
    pub random: Random,
    /// How much to tell.
    pub verbosity: Verbosity,
    /// Where to tell it.
    pub logger: Logger,
    /// Whether an option or a variable means something to this program: remedies are made of those.
    knows: fn(&str) -> bool,
    started: Instant,
    retries: Cell<u64>,
}

impl Context {
    /// The process's own. The seed is of the clock and the process: enough for jitter.
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

    /// Of a program that does not know all of our options and variables.
    pub fn with_vocabulary(self, knows: fn(&str) -> bool) -> Context {
        Context { knows, ..self }
    }

    /// Those of some options and variables that this program knows.
    pub fn known<'w>(&self, words: &[&'w str]) -> Vec<&'w str> {
        words.iter().copied().filter(|word| (self.knows)(word)).collect()
    }

    /// The same as a choice: `-s or CONSUL_HTTP_ADDR`.
    pub fn either(&self, words: &[&str]) -> String {
        listed(&self.known(words), "or")
    }

    /// The same as a list: `CONSUL_NAMESPACE and --dc`.
    pub fn all(&self, words: &[&str]) -> String {
        listed(&self.known(words), "and")
    }

    /// Counts that Consul is asked once more.
    pub fn count_retry(&self) {
        self.retries.set(self.retries.get().saturating_add(1));
    }

    /// What is known of any run that has ended.
    pub fn outcome(&self, direction: Direction, prefix: impl Display) -> Outcome {
        Outcome::new(direction, prefix, self.started.elapsed(), self.retries.get())
    }

    /// Tells something. All that a run tells goes through here, or into the logger.
    pub fn tell(&self, line: &str) {
        self.logger.log(Level::Info, line);
    }

    /// Tells what came of the run: what was done, or, with `-v`, that nothing was.
    pub fn conclude(&self, is_news: bool, line: impl FnOnce() -> String, outcome: Option<&Outcome>) {
        if self.verbosity == Verbosity::Verbose || (self.verbosity == Verbosity::Normal && is_news) {
            self.logger.conclude(&line(), outcome);
        }
    }

    /// Logs why the run failed.
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
            Level::Info => self.tell(line),
            Level::Debug => self.detail(|| line.to_owned()),
        }
    }

    /// Tells a detail, with `-v`.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.logger.log(Level::Debug, &line());
        }
    }

    /// Warns, unless nothing but errors is wanted.
    pub fn warn(&self, line: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.logger.log(Level::Warn, line);
        }
    }

    /// Tells a person at a terminal that it is their turn: they may not expect stdin to be read.
    pub fn hint_at_terminal(&self, what: &str) {
        if self.verbosity != Verbosity::Quiet && std::io::stdin().is_terminal() {
            self.tell(&format!("reading {what} from the terminal; end it with Ctrl-D"));
        }
    }

    /// Whether somebody looks on.
    pub fn is_at_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Tells that something takes its time: with `-v`, and to a person at a terminal.
    pub fn progress(&self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose || (self.verbosity == Verbosity::Normal && self.is_at_terminal()) {
            self.logger.log(Level::Debug, &line());
        }
    }
}

fn listed(words: &[&str], last: &str) -> String {
    match words {
        [words @ .., end] if !words.is_empty() => format!("{} {last} {end}", words.join(", ")),
        words => words.concat(),
    }
}

/// Prints to stdout what others have written: bytes as they are, but what a person sees at a terminal.
///
/// # Errors
/// 73.
pub fn show(bytes: &[u8]) -> Result<()> {
    if std::io::stdout().is_terminal() { print(text::lines_of(bytes).as_bytes()) } else { print(bytes) }
}

/// Prints to stdout. A reader that has seen enough is no failure.
///
/// # Errors
/// 73.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Status::CannotWrite.error(format!("stdout cannot be written: {cause}")))
        }
        _ => Ok(()),
    }
}
