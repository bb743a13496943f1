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

use self::args::{Asked, Options};
use self::clean::clean;
use self::copy::copy;
pub use self::kvexpress::kvexpress;
pub use self::kvx::kvx;
pub use self::kvx_in::kvx_in;
pub use self::kvx_out::kvx_out;
use crate::context::{Voice, World, print};
use crate::error::{Error, Result};
use crate::process::signals;
use crate::telemetry::log::{Format, Journal};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Ending, Summary};

/// What stands behind `--`.
type Command = Option<Vec<OsString>>;

/// Runs a command line, and tells of an error.
fn run<T: Options>(
    program: &str,
    arguments: Vec<OsString>,
    work: impl FnOnce(T, Command, &World) -> Result<ExitCode>,
) -> ExitCode {
    let format = Format::among(&arguments);
    let asked = args::parse::<T>(program, arguments);
    let (voice, format) = match &asked {
        Ok(Asked::Run(options, _)) => (options.voice(), options.log_format()),
        _ => (Voice::Normal, format),
    };
    let world = begin(voice, Journal::new(program, format));
    let done = asked.map_err(|error| with_hint(error, &world)).and_then(|asked| match asked {
        Asked::Run(options, command) => work(options, command, &world),
        Asked::Print(text) => print(text.as_bytes()).map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| world.fail(error, None))
}

/// The beginning of every run: from now on, signals do what they are to do.
fn begin(voice: Voice, journal: Journal) -> World {
    signals::at_start(std::process::id());
    World::of_this_process(voice, journal)
}

/// The end of a run that never began.
fn fail(program: &str, format: Format, error: Error) -> ExitCode {
    let world = begin(Voice::Normal, Journal::new(program, format));
    world.fail(with_hint(error, &world), None)
}

/// Where words are left over, and a watch has started this run, they may have been one word: `consul watch` joins the words of its
/// command with blanks, and a shell splits them again.
fn with_hint(error: Error, world: &World) -> Error {
    let said = error.to_string();
    let is_left_over = LEFT_OVER.iter().any(|words| said.contains(words));
    if is_left_over && world.env.is_of_a_watch() { error.and(SHELL_HINT) } else { error }
}

/// How argh, and kvexpress's grammar, say it.
const LEFT_OVER: [&str; 4] = ["Unrecognized argument", "duplicate values provided", "is no flag", " has no --"];
const SHELL_HINT: &str = "if `consul watch` runs this, give it -shell=false, or it takes quotes away";

/// What a run has come to.
struct Came {
    is_news: bool,
    line: String,
    summary: Summary,
    /// What an upload has changed, for those who want to know.
    difference: Option<String>,
}

/// How a run has ended, and all have been told.
struct Ended {
    status: ExitCode,
    ending: Ending,
}

/// The end of a run: people are told what came of it, then those who count. `begun` is what is known of it if it failed.
fn end(done: Result<Came>, begun: Summary, metrics: &Metrics, world: &World) -> Ended {
    match done {
        Ok(came) => {
            world.conclude(came.is_news, || came.line, Some(&came.summary));
            metrics.tell(&came.summary, came.difference.as_deref(), world);
            Ended { status: ExitCode::SUCCESS, ending: came.summary.ending }
        }
        Err(error) => {
            let summary = begun.failed(&error);
            let status = world.fail(error, Some(&summary));
            metrics.tell(&summary, None, world);
            Ended { status, ending: summary.ending }
        }
    }
}
