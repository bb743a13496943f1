use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::{Command, ExitCode, Stdio};

use super::kvx_out::kvx_raw;
use super::{fail, kvx_in, kvx_out, marks, run};
use crate::cli::args::CommonArgs;
use crate::cli::args::kvx::{clean, copy, diff, list, lock, resume, status, stop, unlock};
use crate::context::{Context, print, show};
use crate::error::{Error, Result, Status};
use crate::operator;
use crate::operator::lock::Unlocked;
use crate::process;
use crate::telemetry::log::Format;
use crate::util::text;

/// Something is not as it should be, or differs: as for diff(1) and grep(1).
const NOT_WELL: u8 = 1;

/// What `kvx --help` prints.
const HELP: &str = "\
Usage: kvx <command> [<options>]

Configuration files through Consul's KV store.

What is going on:
  status   how the keys in Consul and the files of this node are
  list     the keys, one a line
  diff     how a file differs from what is in Consul

What is to happen:
  stop     a key, everywhere: nobody uploads it, nobody installs it
  resume   let it go on, and fire its watches
  lock     a file, on this node: it stays as it is
  unlock   let it go on
  copy     a document to another key

Files, in and out:
  in       kvx-in: a document into Consul
  out      kvx-out: a document out of Consul, into a file
  raw      the value of any key into a file, without a checksum
  clean    take away what was left beside a file

kvx <command> --help says more, kvx --version which one this is.
Called as kvexpress, it takes kvexpress's command lines.
";

/// `kvx`: for the person at the terminal. The arguments are those after the program's name.
pub fn kvx(arguments: Vec<OsString>) -> ExitCode {
    let format = Format::requested_by(&arguments);
    let fail = |error| fail("kvx", format, error);
    let mut arguments = arguments.into_iter();
    let Some(mut command) = arguments.next() else {
        return fail(Status::Usage.error("a command is missing"));
    };
    let mut rest: Vec<OsString> = arguments.collect();
    // `kvx help stop` is `kvx stop --help`.
    if let ("help", [of]) = (command.to_string_lossy().as_ref(), rest.as_slice()) {
        (command, rest) = (of.clone(), vec!["--help".into()]);
    }
    match command.to_string_lossy().as_ref() {
        "in" => kvx_in("kvx in", rest),
        "out" => kvx_out("kvx out", rest),
        "raw" => raw(rest),
        "stop" => act::<stop::StopArgs>("kvx stop", rest, |options, context| {
            let metrics = options.told()?;
            Ok(marks::stop(&options.order(), &metrics, context).exit_code())
        }),
        "resume" => act::<resume::ResumeArgs>("kvx resume", rest, |options, context| {
            let (key, site) = options.order();
            let resumed = operator::stop::resume(&key, &site, context).map_err(|error| error.of(&key))?;
            say(context, format_args!("{key}: {resumed}"))
        }),
        "lock" => act::<lock::LockArgs>("kvx lock", rest, |options, context| {
            let metrics = options.told()?;
            let (order, manner) = options.order();
            Ok(marks::lock(&order, &manner, &metrics, context).exit_code())
        }),
        "unlock" => act::<unlock::UnlockArgs>("kvx unlock", rest, |options, context| {
            let metrics = options.told()?;
            let (runs, order) = (options.runs(), options.order());
            match marks::unlock(&order, &metrics, context) {
                (_, Some(unlocked)) if runs => catch_up(&unlocked).map_err(|error| error.of(order.file.display())),
                (_, Some(unlocked)) => how_to_catch_up(&unlocked, context),
                (outcome, None) => Ok(outcome.exit_code()),
            }
        }),
        "copy" => act::<copy::CopyArgs>("kvx copy", rest, |options, context| {
            let metrics = options.told()?;
            Ok(super::copy(&options.order()?, &metrics, context).exit_code())
        }),
        "status" => act::<status::StatusArgs>("kvx status", rest, |options, context| {
            let (is_json, order) = (options.is_json(), options.order(std::io::stdout().is_terminal()));
            let (overview, trouble) = operator::status::status(&order, context)?;
            let text = if is_json { json(&overview) } else { overview.to_string() };
            print(text.as_bytes())?;
            match trouble {
                Some(error) => Err(error),
                None if overview.is_empty() => Err(nothing(&order)),
                None => Ok(well(overview.well)),
            }
        }),
        "list" => act::<list::ListArgs>("kvx list", rest, |options, context| {
            let keys = operator::list::list(&options.order(), context)?;
            let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
            show(text.as_bytes()).map(|()| ExitCode::SUCCESS)
        }),
        "diff" => act::<diff::DiffArgs>("kvx diff", rest, |options, context| {
            let order = options.order();
            let difference = operator::diff::diff(&order, context).map_err(|error| error.of(&order.key))?;
            let is_coloured = std::io::stdout().is_terminal() && context.env.variable("NO_COLOR").is_none();
            if is_coloured {
                print(coloured(&text::lines_of(&difference)).as_bytes())?
            } else {
                show(&difference)?
            }
            Ok(well(difference.is_empty()))
        }),
        "clean" => act::<clean::CleanArgs>("kvx clean", rest, |options, context| {
            super::clean(&options.order(), context).map(|()| ExitCode::SUCCESS)
        }),
        "--help" | "-h" | "help" => print(HELP.as_bytes()).map_or_else(fail, |()| ExitCode::SUCCESS),
        "--version" => {
            let version = format!("kvx {}\n", env!("CARGO_PKG_VERSION"));
            print(version.as_bytes()).map_or_else(fail, |()| ExitCode::SUCCESS)
        }
        other => fail(Status::Usage.error(format!("there is no command \"{other}\""))),
    }
}

/// What `kvx raw --help` prints.
pub const RAW_HELP: &str = "\
Usage: kvx raw -k <path> -f <file> [<options of kvx out>]

Install the value of any key into a file: `kvx out --raw <path>`.

The path is a whole one: no prefix, no checksum, no stop. Guards, locks, owner,
mode and handler are as for kvx out: see kvx out --help.

Options:
  -k, --key         path of the key, such as service/web/config
  -f, --file        file to install, or - for stdout

Examples:
  kvx raw -k service/web/config -f /etc/web.conf -l 1 -e 'systemctl reload web'
";

/// `-k` means the path.
fn raw(arguments: Vec<OsString>) -> ExitCode {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    if options.any(|argument| argument == "--help" || argument == "-h") {
        let fail = |error| fail("kvx raw", Format::requested_by(&arguments), error);
        return print(RAW_HELP.as_bytes()).map_or_else(fail, |()| ExitCode::SUCCESS);
    }
    kvx_raw(arguments)
}

/// Runs a command of ours, of which none runs somebody else's.
fn act<T: CommonArgs>(
    program: &str,
    arguments: Vec<OsString>,
    work: impl FnOnce(T, &Context) -> Result<ExitCode>,
) -> ExitCode {
    run::<T>(program, arguments, |options, command, context| match command {
        Some(_) => Err(Status::Usage.error("it runs no command; leave out -- and what is behind it")),
        None => work(options, context),
    })
}

fn say(context: &Context, line: std::fmt::Arguments) -> Result<ExitCode> {
    context.conclude(true, || line.to_string(), None);
    Ok(ExitCode::SUCCESS)
}

fn well(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) }
}

fn json(overview: &operator::status::Overview) -> String {
    // Strings, numbers and lists: serde_json has nothing to fail at.
    let text = serde_json::to_string_pretty(overview).unwrap_or_default();
    format!("{}\n", text::json(&text))
}

fn nothing(order: &operator::status::StatusOrder) -> Error {
    Status::NoSuchKey.error(format!(
        "there is no key under {}/ in Consul that this token may list, and no file is recorded on this node; check -p, -s and --state-dir",
        order.site.prefix
    ))
}

/// What has installed the file, and by whom it may be run again.
fn how_to_catch_up(unlocked: &Unlocked, context: &Context) -> Result<ExitCode> {
    let Some(recorded) = &unlocked.recorded else { return Ok(ExitCode::SUCCESS) };
    if !recorded.command().is_empty() {
        let command = text::command(recorded.command());
        context.conclude(true, || format!("what was missed arrives with the next run, or now by: {command}"), None);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs it again, as it was. In the root directory, where nobody can have put a program or a file for it to find.
fn catch_up(unlocked: &Unlocked) -> Result<ExitCode> {
    let Some([program, arguments @ ..]) = unlocked.recorded.as_ref().map(|recorded| recorded.command()) else {
        return Err(Status::NoSuchKey.error(
            "unlocked, but --run has nothing to run: no command line is recorded that this user has run for it (and none with -t, --force, --ignore-... or a relative path is); run kvx-out by hand",
        ));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").stdin(Stdio::null());
    let status = process::run_unsupervised(&mut command).map_err(|cause| {
        Status::HandlerFailed.error(format!("unlocked, but `{program}` could not be run: {cause}; run it by hand"))
    })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn coloured(difference: &str) -> String {
    let colour = |(number, line): (usize, &str)| match line.as_bytes().first() {
        _ if number < 2 => Some("1"),
        Some(b'-') => Some("31"),
        Some(b'+') => Some("32"),
        Some(b'@') => Some("36"),
        _ => None,
    };
    let lines = difference.lines().enumerate();
    lines
        .map(|line| colour(line).map_or(format!("{}\n", line.1), |colour| format!("\x1b[{colour}m{}\x1b[m\n", line.1)))
        .collect()
}
