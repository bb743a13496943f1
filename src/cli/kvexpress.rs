use std::ffi::OsString;
use std::process::ExitCode;

use super::kvx_in::upload;
use super::kvx_out::download;
use super::{SHELL_HINT, begin, clean, copy, fail, fail_with, marks};
use crate::context::{Context, Verbosity, print};
use crate::error::Result;
use crate::kvexpress::{self, Flags, Invocation, Job, PROGRAM, Subcommand, Task};
use crate::process::handler::Handler;
use crate::telemetry::log::{Format, Logger};
use crate::telemetry::outcome::RunResult;

/// `kvexpress`: what its command lines say, by our own stories. The arguments are those after the program's name.
pub fn kvexpress(arguments: Vec<OsString>) -> ExitCode {
    let done = match kvexpress::parse(arguments) {
        Ok(Invocation::Run(command, options, others)) => return run(command, *options, &others),
        Ok(Invocation::Help(command)) => print(kvexpress::help(command).as_bytes()),
        Ok(Invocation::Version) => print(kvexpress::version().as_bytes()),
        Err(error) => Err(error),
    };
    done.map_or_else(|error| fail(PROGRAM, Format::Text, error), |()| ExitCode::SUCCESS)
}

fn run(command: Subcommand, options: Flags, others: &[String]) -> ExitCode {
    let debug = std::env::var_os("KVEXPRESS_DEBUG").is_some_and(|debug| !debug.is_empty());
    let verbosity = if options.verbose || debug { Verbosity::Verbose } else { Verbosity::Normal };
    let logger = Logger::new(PROGRAM, Format::Text).with_syslog();
    let logger = if options.verbose { logger.on_stdout() } else { logger };
    let context = begin(verbosity, logger).with_vocabulary(kvexpress::knows);
    passed_over(others, &context);
    match kvexpress::job(command, options, &context).and_then(|job| work(&job, &context)) {
        Ok(status) => status,
        Err(error) => fail_with(&error, &context),
    }
}

/// Does it, and then what `-e` says. Nothing records that it was to be run.
fn work(Job { work, metrics, then }: &Job, context: &Context) -> Result<ExitCode> {
    let outcome = match work {
        Task::Upload(order) => upload(order, metrics, context),
        Task::Download(order) => download(order, metrics, context),
        Task::Copy(order) => copy(order, metrics, context),
        Task::Stop(order) => marks::stop(order, metrics, context),
        Task::Lock(order, options) => marks::lock(order, options, metrics, context),
        Task::Unlock(order) => marks::unlock(order, metrics, context).0,
        Task::Clean(order) => {
            clean(order, context)?;
            return follow(then.as_ref(), context).map(|()| ExitCode::SUCCESS);
        }
    };
    if is_done(work, outcome.result) {
        follow(then.as_ref(), context)?;
    }
    Ok(outcome.exit_code())
}

/// Whether there is something for `-e` to follow.
fn is_done(work: &Task, result: RunResult) -> bool {
    match work {
        Task::Upload(_) | Task::Copy(_) => result == RunResult::Uploaded,
        Task::Stop(_) => result == RunResult::Stopped,
        Task::Clean(_) | Task::Download(_) | Task::Lock(..) | Task::Unlock(_) => false,
    }
}

fn follow(handler: Option<&Handler>, context: &Context) -> Result<()> {
    let Some(handler) = handler else { return Ok(()) };
    handler
        .run(&[], &context.logger)
        .map_err(|error| error.and("all else is done, and the next run does not make up for it"))
}

/// kvexpress takes `-e sudo pkill` for `-e sudo`, and `-z false` for `-z`, and says nothing. The words are not told: who
/// knows what they are. The `true` of `-z true` is everybody's.
fn passed_over(others: &[String], context: &Context) {
    let count = others.iter().filter(|word| word.as_str() != "true").count();
    if count > 0 {
        let (words, belong) = if count == 1 { ("word", "belongs") } else { ("words", "belong") };
        let hint = if context.env.is_run_by_watch() { format!("; {SHELL_HINT}") } else { String::new() };
        context.warn(&format!(
            "{count} {words} passed over that {belong} to no flag; are quotes missing, or a = before false?{hint}"
        ));
    }
}
