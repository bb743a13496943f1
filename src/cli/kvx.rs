use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use super::kvx_out::kvx_raw;
use super::{fail, kvx_in, kvx_out, markers, run};
use crate::cli::args::CommonArgs;
use crate::cli::args::kvx::{
    clean, copy, diff, history, hold, list, lock, release, resume, rollback, show, status, stop, unlock,
};
use crate::context::{Context, print, show};
use crate::error::{Error, Result, Status};
use crate::operator;
use crate::operator::lock::Unlocked;
use crate::process;
use crate::telemetry::log::Format;
use crate::util::text;

/// The status if something is wrong (`kvx status`) or differs (`kvx diff`), as for diff(1) and grep(1).
const NOT_WELL: u8 = 1;

/// What `kvx --help` prints.
const HELP: &str = "\
Usage: kvx <command> [<options>]

Configuration files through Consul's KV store.

Inspect:
  status   show the state of the keys in Consul and the files of this node
  list     list the keys, one per line
  history  list the versions of a key: when, by whom and why
  show     print the document in Consul, or an earlier version
  diff     compare a file or a version with the document in Consul

Control:
  rollback restore an earlier document on all nodes, and hold the key at it
  stop     stop a key on all nodes: no uploads, no installations
  resume   resume a stopped key, and fire its watches
  hold     hold a key at its document: no other one is uploaded or installed
  release  release a held key, and fire its watches
  lock     lock a file on this node: no run changes it
  unlock   unlock a file
  copy     copy a document to another key

Transfer:
  in       run kvx-in: upload a document to Consul
  out      run kvx-out: install a document from Consul as a file
  raw      install the value of any key as a file, without a checksum
  clean    remove leftovers next to a file, or from a key's history

kvx <command> --help shows the options, kvx --version the version.
Called as kvexpress, it takes kvexpress's command lines.
";

/// Runs `kvx`, the program for operators. `arguments` come after the program's name.
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
            let metrics = options.run_metrics()?;
            Ok(markers::stop(&options.order(), &metrics, context).exit_code())
        }),
        "resume" => act::<resume::ResumeArgs>("kvx resume", rest, |options, context| {
            let (key, site) = options.order();
            let resumed = operator::stop::resume(&key, &site, context).map_err(|error| error.of(&key))?;
            print_line(context, format_args!("{key}: {resumed}"))
        }),
        "rollback" => act::<rollback::RollbackArgs>("kvx rollback", rest, super::rollback::rollback),
        "hold" => act::<hold::HoldArgs>("kvx hold", rest, |options, context| {
            let order = options.order();
            let held = operator::hold::hold(&order, context).map_err(|error| error.of(&order.key))?;
            print_line(context, format_args!("{}: {held}", order.key))
        }),
        "release" => act::<release::ReleaseArgs>("kvx release", rest, |options, context| {
            let (key, force, site) = options.order();
            let released = operator::hold::release(&key, force, &site, context).map_err(|error| error.of(&key))?;
            print_line(context, format_args!("{key}: {released}"))
        }),
        "lock" => act::<lock::LockArgs>("kvx lock", rest, |options, context| {
            let metrics = options.run_metrics()?;
            let (order, lock_options) = options.order();
            Ok(markers::lock(&order, &lock_options, &metrics, context).exit_code())
        }),
        "unlock" => act::<unlock::UnlockArgs>("kvx unlock", rest, |options, context| {
            let metrics = options.run_metrics()?;
            let (runs, order) = (options.reruns(), options.order());
            match markers::unlock(&order, &metrics, context) {
                (_, Some(unlocked)) if runs => run_recorded(&unlocked).map_err(|error| error.of(order.file.display())),
                (_, Some(unlocked)) => show_recorded(&unlocked, context),
                (outcome, None) => Ok(outcome.exit_code()),
            }
        }),
        "copy" => act::<copy::CopyArgs>("kvx copy", rest, |options, context| {
            let metrics = options.run_metrics()?;
            Ok(super::copy(&options.order()?, &metrics, context).exit_code())
        }),
        "status" => act::<status::StatusArgs>("kvx status", rest, |options, context| {
            let (is_json, order) = (options.is_json(), options.order(std::io::stdout().is_terminal()));
            let (overview, failure) = operator::status::status(&order, context)?;
            let text = if is_json { json(&overview) } else { overview.to_string() };
            print(text.as_bytes())?;
            match failure {
                Some(error) => Err(error),
                None if overview.is_empty() => Err(nothing_to_show(&order)),
                None => Ok(exit_code(overview.well)),
            }
        }),
        "list" => act::<list::ListArgs>("kvx list", rest, |options, context| {
            let keys = operator::list::list(&options.order(), context)?;
            let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
            show(text.as_bytes()).map(|()| ExitCode::SUCCESS)
        }),
        "history" => act::<history::HistoryArgs>("kvx history", rest, super::history::history),
        "show" => act::<show::ShowArgs>("kvx show", rest, super::history::show),
        "diff" => act::<diff::DiffArgs>("kvx diff", rest, super::diff::diff),
        "clean" => act::<clean::CleanArgs>("kvx clean", rest, super::clean::kvx_clean),
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

The path is the full one: no prefix, no checksum, no stop. Guards, locks, owner,
mode and handler are the same as for kvx out: see kvx out --help.

Options:
  -k, --key         path of the key, such as service/web/config
  -f, --file        file to install, or - for stdout

Examples:
  kvx raw -k service/web/config -f /etc/web.conf -l 1 -e 'systemctl reload web'
";

/// Runs `kvx raw`: `-k` is the path of a value.
fn raw(arguments: Vec<OsString>) -> ExitCode {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    if options.any(|argument| argument == "--help" || argument == "-h") {
        let fail = |error| fail("kvx raw", Format::requested_by(&arguments), error);
        return print(RAW_HELP.as_bytes()).map_or_else(fail, |()| ExitCode::SUCCESS);
    }
    kvx_raw(arguments)
}

/// Runs a `kvx` command that takes no command after `--`.
fn act<T: CommonArgs>(
    program: &str,
    arguments: Vec<OsString>,
    action: impl FnOnce(T, &Context) -> Result<ExitCode>,
) -> ExitCode {
    run::<T>(program, arguments, |options, command, context| match command {
        Some(_) => {
            Err(Status::Usage.error("this command does not run a program; leave out -- and everything after it"))
        }
        None => action(options, context),
    })
}

fn print_line(context: &Context, line: std::fmt::Arguments) -> Result<ExitCode> {
    context.conclude(true, || line.to_string(), None);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn exit_code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) }
}

fn json(overview: &operator::status::Overview) -> String {
    // The overview has only strings, numbers and lists, so serialization cannot fail.
    let text = serde_json::to_string_pretty(overview).unwrap_or_default();
    format!("{}\n", text::json(&text))
}

fn nothing_to_show(order: &operator::status::StatusOrder) -> Error {
    Status::NoSuchKey.error(format!(
        "there is no key under {}/ in Consul that this token may list, and no file is recorded on this node; check -p, -s and --state-dir",
        order.site.prefix
    ))
}

/// Logs the recorded command line, which installs what the file missed while it was locked.
fn show_recorded(unlocked: &Unlocked, context: &Context) -> Result<ExitCode> {
    let Some(recorded) = &unlocked.recorded else { return Ok(ExitCode::SUCCESS) };
    if !recorded.command().is_empty() {
        let command = text::command(recorded.command());
        context.conclude(true, || format!("the next run installs what was missed; to do it now: {command}"), None);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the recorded command line. In the root directory, where only root can create a program or a file that it would find.
fn run_recorded(unlocked: &Unlocked) -> Result<ExitCode> {
    let Some([program, arguments @ ..]) = unlocked.recorded.as_ref().map(|recorded| recorded.command()) else {
        return Err(Status::NoSuchKey.error(
            "unlocked, but --run has nothing to run: no command line of this user is recorded (one with -t, --force, --ignore-... or a relative path never is); run kvx-out by hand",
        ));
    };
    let cannot = |cause: io::Error| {
        Status::HandlerFailed.error(format!("unlocked, but `{program}` could not be run: {cause}; run it by hand"))
    };
    let mut command = sibling(program).map_err(cannot)?;
    command.args(arguments).current_dir("/").stdin(Stdio::null());
    let status = process::run_unsupervised(&mut command).map_err(cannot)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A recorded program: the file of that name next to this executable, not the one that PATH has.
fn sibling(program: &str) -> io::Result<Command> {
    let name = Path::new(program).file_name().unwrap_or_default();
    let file = if name == "kvx-out" { "kvx-out" } else { "kvx" };
    let mut command = Command::new(std::env::current_exe()?.with_file_name(file));
    command.arg0(name);
    Ok(command)
}
