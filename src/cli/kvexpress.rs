use std::ffi::OsString;
use std::process::ExitCode;

use super::kvx_in::upload;
use super::kvx_out::download;
use super::{Ended, SHELL_HINT, begin, clean, copy, fail, marks};
use crate::context::{Voice, World, print};
use crate::error::Result;
use crate::kvexpress::{self, Asked, Command, Job, Options, PROGRAM, Work};
use crate::process::handler::Handler;
use crate::telemetry::log::{Format, Journal};
use crate::telemetry::outcome::Ending;

/// `kvexpress`: what its command lines say, by our own stories. The arguments are those after the program's name.
pub fn kvexpress(arguments: Vec<OsString>) -> ExitCode {
    let done = match kvexpress::parse(arguments) {
        Ok(Asked::Run(command, options, others)) => return run(command, *options, &others),
        Ok(Asked::Help(command)) => print(kvexpress::help(command).as_bytes()),
        Ok(Asked::Version) => print(kvexpress::version().as_bytes()),
        Err(error) => Err(error),
    };
    done.map_or_else(|error| fail(PROGRAM, Format::Text, error), |()| ExitCode::SUCCESS)
}

fn run(command: Command, options: Options, others: &[String]) -> ExitCode {
    let debug = std::env::var_os("KVEXPRESS_DEBUG").is_some_and(|debug| !debug.is_empty());
    let voice = if options.verbose || debug { Voice::Verbose } else { Voice::Normal };
    let journal = Journal::new(PROGRAM, Format::Text).and_syslog();
    let journal = if options.verbose { journal.on_stdout() } else { journal };
    let world = begin(voice, journal).of_one_that_knows(kvexpress::knows);
    passed_over(others, &world);
    match kvexpress::job(command, options, &world).and_then(|job| work(&job, &world)) {
        Ok(status) => status,
        Err(error) => world.fail(error, None),
    }
}

/// Does it, and then what `-e` says. Nothing remembers that it was to be run.
fn work(Job { work, metrics, then }: &Job, world: &World) -> Result<ExitCode> {
    let Ended { status, ending } = match work {
        Work::Upload(order) => upload(order, metrics, world),
        Work::Download(order) => download(order, metrics, world),
        Work::Copy(order) => copy(order, metrics, world),
        Work::Stop(order) => marks::stop(order, metrics, world),
        Work::Lock(order, manner) => marks::lock(order, manner, metrics, world),
        Work::Unlock(order) => marks::unlock(order, metrics, world).0,
        Work::Clean(order) => clean(order, world)?,
    };
    match then {
        Some(handler) if is_done(work, ending) => follow(handler, world).map(|()| status),
        _ => Ok(status),
    }
}

/// Whether there is something for `-e` to follow.
fn is_done(work: &Work, ending: Ending) -> bool {
    match work {
        Work::Upload(_) | Work::Copy(_) => ending == Ending::Uploaded,
        Work::Stop(_) => ending == Ending::Stopped,
        Work::Clean(_) => true,
        Work::Download(_) | Work::Lock(..) | Work::Unlock(_) => false,
    }
}

fn follow(handler: &Handler, world: &World) -> Result<()> {
    handler
        .run(&[], &world.journal)
        .map_err(|error| error.and("all else is done, and the next run does not make up for it"))
}

/// kvexpress takes `-e sudo pkill` for `-e sudo`, and `-z false` for `-z`, and says nothing. The words are not told: who
/// knows what they are. The `true` of `-z true` is everybody's.
fn passed_over(others: &[String], world: &World) {
    let count = others.iter().filter(|word| word.as_str() != "true").count();
    if count > 0 {
        let (words, belong) = if count == 1 { ("word", "belongs") } else { ("words", "belong") };
        let hint = if world.env.is_of_a_watch() { format!("; {SHELL_HINT}") } else { String::new() };
        world.warn(&format!(
            "{count} {words} passed over that {belong} to no flag; are quotes missing, or a = before false?{hint}"
        ));
    }
}
