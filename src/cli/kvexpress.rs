use std::ffi::OsString;
use std::process::ExitCode;

use super::kvx_in::upload;
use super::kvx_out::download;
use super::{SHELL_HINT, begin, clean, copy, fail, fail_with, markers};
use crate::context::{Context, Verbosity, print};
use crate::error::Result;
use crate::kvexpress::{self, Flags, Invocation, Job, PROGRAM, Subcommand, Task};
use crate::process::handler::Handler;
use crate::telemetry::log::{Format, Logger};
use crate::telemetry::outcome::RunResult;

/// Runs a command line of `kvexpress`. `arguments` come after the program's name.
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
    warn_of_ignored(others, &context);
    match kvexpress::job(command, options, &context).and_then(|job| perform(&job, &context)) {
        Ok(status) => status,
        Err(error) => fail_with(&error, &context),
    }
}

/// Performs the task, then runs the command of `-e`. If that fails, it is not recorded as pending.
fn perform(Job { task, metrics, then }: &Job, context: &Context) -> Result<ExitCode> {
    let outcome = match task {
        Task::Upload(order) => upload(order, metrics, context),
        Task::Download(order) => download(order, metrics, context),
        Task::Copy(order) => copy(order, metrics, context),
        Task::Stop(order) => markers::stop(order, metrics, context),
        Task::Lock(order, options) => markers::lock(order, options, metrics, context),
        Task::Unlock(order) => markers::unlock(order, metrics, context).0,
        Task::Clean(order) => {
            clean(order, context)?;
            return run_command(then.as_ref(), context).map(|()| ExitCode::SUCCESS);
        }
    };
    if has_changed_something(task, outcome.result) {
        run_command(then.as_ref(), context)?;
    }
    Ok(outcome.exit_code())
}

/// Whether to run the command of `-e` after the task.
fn has_changed_something(task: &Task, result: RunResult) -> bool {
    match task {
        Task::Upload(_) | Task::Copy(_) => result == RunResult::Uploaded,
        Task::Stop(_) => result == RunResult::Stopped,
        Task::Clean(_) | Task::Download(_) | Task::Lock(..) | Task::Unlock(_) => false,
    }
}

fn run_command(handler: Option<&Handler>, context: &Context) -> Result<()> {
    let Some(handler) = handler else { return Ok(()) };
    handler
        .run(&[], &context.logger)
        .map_err(|error| error.and("everything else is done, and the next run does not retry this command"))
}

/// kvexpress silently takes `-e sudo pkill` for `-e sudo`, and `-z false` for `-z`. The warning does not print the words: they may
/// be secret. `true` after a switch changes nothing, so there is no warning.
fn warn_of_ignored(others: &[String], context: &Context) {
    let count = others.iter().filter(|word| word.as_str() != "true").count();
    if count > 0 {
        let (words, belong) = if count == 1 { ("word", "belongs") } else { ("words", "belong") };
        let hint = if context.env.is_run_by_watch() { format!("; {SHELL_HINT}") } else { String::new() };
        context.warn(&format!(
            "ignored {count} {words} that {belong} to no flag; are quotes missing, or a = before false?{hint}"
        ));
    }
}
