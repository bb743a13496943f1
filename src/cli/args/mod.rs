//! The command lines: parses options and turns them into orders. Options that do not fit together are rejected before a
//! run does anything.

pub mod catalog;
pub(crate) mod kvx;
pub(crate) mod kvx_in;
pub(crate) mod kvx_out;
mod normalize;
mod options;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use crate::context::Verbosity;
use crate::document::guard::{Guards, Percent};
use crate::error::{Result, Status};
use crate::telemetry::log::Format;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::dogstatsd::{Dogstatsd, StatsdAddress};
use crate::upload::MarkerPolicy;
use crate::util::text;

/// The options of every command line.
pub trait CommonArgs: FromArgs + ArgsInfo {
    /// `-v` and `-q`.
    fn verbosity(&self) -> Verbosity;
    /// `--log-format`.
    fn log_format(&self) -> Format;
}

/// A parsed command line.
#[derive(Debug)]
pub enum Parsed<T> {
    /// Run with these options, and the command after `--`.
    Run(T, Option<Vec<OsString>>),
    /// Print this text: `--help` or `--version`.
    Print(String),
}

/// Parses the arguments after the program's name, which may consist of two words.
///
/// # Errors
/// 64.
pub fn parse<T: CommonArgs>(program: &str, arguments: Vec<OsString>) -> Result<Parsed<T>> {
    let usage = |what: &str| Status::Usage.error(what);
    let (options, command) = normalize::split(arguments);
    if command.as_ref().is_some_and(Vec::is_empty) {
        return Err(usage("after -- a command is missing")); // Such as an empty, unquoted shell variable.
    }
    let words = normalize::normalize(options, T::get_args_info().flags).map_err(|what| usage(&what))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.contains(&"--version") {
        return Ok(Parsed::Print(format!("{program} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    match T::from_args(&program.split(' ').collect::<Vec<_>>(), &words) {
        Ok(options) => Ok(Parsed::Run(options, command)),
        Err(exit) if exit.status.is_ok() => Ok(Parsed::Print(exit.output)),
        Err(exit) => {
            let what = without_secrets(exit.output, &words);
            // Joins argh's lines. Other white space is part of a value, and is printed.
            let words: Vec<&str> = what.split([' ', '\n']).filter(|word| !word.is_empty()).collect();
            Err(usage(&text::line(&words.join(" "))))
        }
    }
}

/// Hides secrets in argh's messages, which repeat invalid values. Tokens are secret, as may be the login or query of a
/// URL, even of an invalid one.
fn without_secrets(what: String, words: &[&str]) -> String {
    let tokens = words.windows(2).filter_map(|pair| match pair {
        ["-t" | "--token", token] if !token.is_empty() => Some(token),
        ["-u" | "--url", url] if url.contains(['@', '?']) => Some(url),
        _ => None,
    });
    let logins = words.iter().filter(|word| word.contains('@') && (word.contains(':') || word.contains("//")));
    tokens.chain(logins).fold(what, |what, secret| what.replace(secret, "(secret)"))
}

/// `--force` cancels `--max-shrink`, and so does a percentage that is not a limit (100).
fn guards(min_lines: u64, max_size: usize, max_shrink: Option<Percent>, force: bool) -> Guards {
    Guards { min_lines, max_size, max_shrink: max_shrink.filter(|percent| !force && percent.is_a_limit()) }
}

/// `--ignore-stop`, `--ignore-hold`.
fn policy(ignores: bool) -> MarkerPolicy {
    if ignores { MarkerPolicy::Ignored } else { MarkerPolicy::Respected }
}

/// Where metrics are sent: `--dogstatsd`, `--metrics-prefix`, `--events`, `--metrics-textfile`.
fn metrics(
    dogstatsd: Option<Option<StatsdAddress>>,
    prefix: &str,
    events: bool,
    textfiles: Option<PathBuf>,
) -> Result<Metrics> {
    if events && dogstatsd.is_none() {
        return Err(Status::Usage.error("--events are sent to dogstatsd; give --dogstatsd, too"));
    }
    let dogstatsd = dogstatsd.map(|address| Dogstatsd { address, prefix: prefix.to_owned(), metrics: true, events });
    Ok(Metrics { dogstatsd, textfiles })
}

/// `-q` overrides `-v`.
fn verbosity(verbose: bool, quiet: bool) -> Verbosity {
    match (quiet, verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    }
}
