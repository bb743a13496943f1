//! The entry points of the programs: parse the command line, run, log the result, return the exit status.

pub mod args;
mod clean;
mod copy;
mod diff;
mod history;
mod kvexpress;
mod kvx;
mod kvx_in;
mod kvx_out;
mod markers;
mod rollback;

use std::ffi::OsString;
use std::process::ExitCode;

use self::args::{CommonArgs, Parsed};
use self::clean::clean;
use self::copy::copy;
pub use self::kvexpress::kvexpress;
pub use self::kvx::kvx;
pub use self::kvx_in::kvx_in;
pub use self::kvx_out::kvx_out;
use crate::context::{Context, Verbosity, print};
use crate::error::{Error, Result};
use crate::process::signals;
use crate::telemetry::log::{Format, Logger};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Outcome, RunOutcome};

/// The words after `--`.
type TrailingCommand = Option<Vec<OsString>>;

/// Parses a command line and runs it; logs an error.
fn run<T: CommonArgs>(
    program: &str,
    arguments: Vec<OsString>,
    action: impl FnOnce(T, TrailingCommand, &Context) -> Result<ExitCode>,
) -> ExitCode {
    let format = Format::requested_by(&arguments);
    let parsed = args::parse::<T>(program, arguments);
    let (verbosity, format) = match &parsed {
        Ok(Parsed::Run(options, _)) => (options.verbosity(), options.log_format()),
        _ => (Verbosity::Normal, format),
    };
    let context = begin(verbosity, Logger::new(program, format));
    let done = parsed.map_err(|error| with_hint(error, &context)).and_then(|parsed| match parsed {
        Parsed::Run(options, command) => action(options, command, &context),
        Parsed::Print(text) => print(text.as_bytes()).map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| fail_with(&error, &context))
}

/// Starts every run: installs the signal handlers and creates the context.
fn begin(verbosity: Verbosity, logger: Logger) -> Context {
    signals::set_up(std::process::id());
    Context::of_this_process(verbosity, logger)
}

/// Logs an error of a command line that was not run, and returns its status.
fn fail(program: &str, format: Format, error: Error) -> ExitCode {
    let context = begin(Verbosity::Normal, Logger::new(program, format));
    fail_with(&with_hint(error, &context), &context)
}

/// Logs why the run failed, and returns its status.
fn fail_with(error: &Error, context: &Context) -> ExitCode {
    context.fail(error, None);
    ExitCode::from(error.status() as u8)
}

/// Adds a hint to an error about superfluous words in a run that a watch started: `consul watch` joins the words of its command
/// with blanks, and a shell splits them again, so that quoted blanks split a word.
fn with_hint(error: Error, context: &Context) -> Error {
    let message = error.to_string();
    let has_superfluous_words = SUPERFLUOUS_WORDS.iter().any(|part| message.contains(part));
    if has_superfluous_words && context.env.is_run_by_watch() { error.and(SHELL_HINT) } else { error }
}

/// How argh and kvexpress's grammar report superfluous words.
const SUPERFLUOUS_WORDS: [&str; 4] =
    ["Unrecognized argument", "duplicate values provided", "is not a flag", " has no --"];
const SHELL_HINT: &str = "if `consul watch` runs this, give it -shell=false, or it takes quotes away";

/// Ends a run: logs its line, then emits its metrics. `begun` is the outcome as far as it is known before the run.
fn conclude<R: RunOutcome>(
    done: std::result::Result<&R, &Error>,
    begun: Outcome,
    metrics: &Metrics,
    context: &Context,
) -> Outcome {
    let (outcome, difference) = match done {
        Ok(run) => (run.outcome(begun), run.difference()),
        Err(error) => (begun.failed(error), None),
    };
    match done.map(|run| (run, run.failure())) {
        Ok((_, Some(error))) | Err(error) => context.fail(error, Some(&outcome)),
        Ok((run, None)) => context.conclude(run.is_news(), || run.line(), Some(&outcome)),
    }
    for (level, line) in metrics.emit(&outcome, difference, &context.env) {
        context.note(level, &line);
    }
    outcome
}
