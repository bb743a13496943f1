//! From a command line to what is told of it: parse, run, tell, exit. What a binary does is one of these.

pub mod args;
mod clean;
mod copy;
mod kvexpress;
mod kvx;
mod kvx_in;
mod kvx_out;
mod marks;

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

/// What stands behind `--`.
type TrailingCommand = Option<Vec<OsString>>;

/// Runs a command line, and tells of an error.
fn run<T: CommonArgs>(
    program: &str,
    arguments: Vec<OsString>,
    work: impl FnOnce(T, TrailingCommand, &Context) -> Result<ExitCode>,
) -> ExitCode {
    let format = Format::requested_by(&arguments);
    let asked = args::parse::<T>(program, arguments);
    let (verbosity, format) = match &asked {
        Ok(Parsed::Run(options, _)) => (options.verbosity(), options.log_format()),
        _ => (Verbosity::Normal, format),
    };
    let context = begin(verbosity, Logger::new(program, format));
    let done = asked.map_err(|error| with_hint(error, &context)).and_then(|asked| match asked {
        Parsed::Run(options, command) => work(options, command, &context),
        Parsed::Print(text) => print(text.as_bytes()).map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| fail_with(&error, &context))
}

/// The beginning of every run: from now on, signals do what they are to do.
fn begin(verbosity: Verbosity, logger: Logger) -> Context {
    signals::set_up(std::process::id());
    Context::of_this_process(verbosity, logger)
}

/// The end of a run that never began.
fn fail(program: &str, format: Format, error: Error) -> ExitCode {
    let context = begin(Verbosity::Normal, Logger::new(program, format));
    fail_with(&with_hint(error, &context), &context)
}

/// Logs why the run failed, and exits with its status.
fn fail_with(error: &Error, context: &Context) -> ExitCode {
    context.fail(error, None);
    ExitCode::from(error.status() as u8)
}

/// Where words are left over, and a watch has started this run, they may have been one word: `consul watch` joins the words of its
/// command with blanks, and a shell splits them again.
fn with_hint(error: Error, context: &Context) -> Error {
    let said = error.to_string();
    let is_left_over = LEFT_OVER.iter().any(|words| said.contains(words));
    if is_left_over && context.env.is_run_by_watch() { error.and(SHELL_HINT) } else { error }
}

/// How argh, and kvexpress's grammar, say it.
const LEFT_OVER: [&str; 4] = ["Unrecognized argument", "duplicate values provided", "is no flag", " has no --"];
const SHELL_HINT: &str = "if `consul watch` runs this, give it -shell=false, or it takes quotes away";

/// The end of a run: its line is logged, then it is counted. `begun` is what is known of it if it failed.
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
