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
use crate::telemetry::outcome::{Outcome, RunResult};

/// What stands behind `--`.
type TrailingCommand = Option<Vec<OsString>>;

/// Runs a command line, and tells of an error.
fn run<T: CommonArgs>(
    program: &str,
    arguments: Vec<OsString>,
    work: impl FnOnce(T, TrailingCommand, &Context) -> Result<ExitCode>,
) -> ExitCode {
    let format = Format::among(&arguments);
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
    done.unwrap_or_else(|error| context.fail(error, None))
}

/// The beginning of every run: from now on, signals do what they are to do.
fn begin(verbosity: Verbosity, logger: Logger) -> Context {
    signals::at_start(std::process::id());
    Context::of_this_process(verbosity, logger)
}

/// The end of a run that never began.
fn fail(program: &str, format: Format, error: Error) -> ExitCode {
    let context = begin(Verbosity::Normal, Logger::new(program, format));
    context.fail(with_hint(error, &context), None)
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

/// What a run has come to.
struct Came {
    is_news: bool,
    line: String,
    outcome: Outcome,
    /// What an upload has changed, for those who want to know.
    difference: Option<String>,
}

/// How a run has ended, and all have been told.
struct Ended {
    status: ExitCode,
    result: RunResult,
}

/// The end of a run: people are told what came of it, then those who count. `begun` is what is known of it if it failed.
fn end(done: Result<Came>, begun: Outcome, metrics: &Metrics, context: &Context) -> Ended {
    match done {
        Ok(came) => {
            context.conclude(came.is_news, || came.line, Some(&came.outcome));
            metrics.tell(&came.outcome, came.difference.as_deref(), context);
            Ended { status: ExitCode::SUCCESS, result: came.outcome.result }
        }
        Err(error) => {
            let outcome = begun.failed(&error);
            let status = context.fail(error, Some(&outcome));
            metrics.tell(&outcome, None, context);
            Ended { status, result: outcome.result }
        }
    }
}
