//! Parses the values of flags into the types that the orders use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PROGRAM;
use super::flags::Flags;
use crate::consul;
use crate::document::guard::{self, Guards};
use crate::error::{Error, Result, Status};
use crate::layout::keys::{Key, Prefix};
use crate::process::handler::Handler;
use crate::process::program::Program;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::dogstatsd::{Dogstatsd, StatsdAddress};
use crate::util::typed;

/// Configuration file of Datadog's old agent.
const DATADOG_AGENT: &str = "/etc/dd-agent/datadog.conf";
/// kvexpress has no limit. Five minutes are enough for a handler that restarts a slow service.
pub(super) const HANDLER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// On a machine with Datadog's old agent, kvexpress sends metrics without `-d`. Its events went to Datadog itself, with two keys;
/// ours go to the agent.
pub(super) fn metrics(options: &Flags) -> Result<Metrics> {
    let metrics = options.dogstatsd || Path::new(DATADOG_AGENT).exists();
    let events = has_events(options);
    if !metrics && !events {
        return Ok(Metrics::default());
    }
    let address = match options.dogstatsd_address.as_str() {
        "" => None,
        address => Some(parsed("-D", address, StatsdAddress::parse)?),
    };
    Ok(Metrics { dogstatsd: Some(Dogstatsd { address, prefix: PROGRAM.into(), metrics, events }), textfiles: None })
}

pub(super) fn has_events(options: &Flags) -> bool {
    !options.datadog_api_key.is_empty() && !options.datadog_app_key.is_empty()
}

pub(super) fn key(flag: &str, text: &str) -> Result<Key> {
    parsed(flag, needed(flag, text)?, Key::parse)
}

/// The path of `-f`.
pub(super) fn file(options: &Flags) -> Result<PathBuf> {
    parsed("-f", needed("-f", &options.file)?, typed::destination)
}

pub(super) fn prefix(options: &Flags) -> Result<Prefix> {
    parsed("-p", &options.prefix, Prefix::parse)
}

pub(super) fn parsed<T>(flag: &str, text: &str, parse: impl Fn(&str) -> std::result::Result<T, String>) -> Result<T> {
    parse(text).map_err(|error| Status::Usage.error(format!("{flag}: {error}")))
}

pub(super) fn needed<'a>(flag: &str, text: &'a str) -> Result<&'a str> {
    if text.is_empty() { Err(missing(flag)) } else { Ok(text) }
}

pub(super) fn missing(flag: &str) -> Error {
    Status::Usage.error(format!("{flag} is missing"))
}

/// kvexpress has no size limit. Consul's own limit may have been raised.
pub(super) fn guards(min_lines: u64) -> Guards {
    Guards { min_lines, max_size: guard::LARGEST, max_shrink: None }
}

pub(super) fn lines(options: &Flags) -> u64 {
    u64::try_from(options.length).unwrap_or(0)
}

/// As in kvexpress, the command is split at blanks, and quotes are part of the words.
pub(super) fn handler(options: &Flags) -> Result<Option<Handler>> {
    if options.exec.is_empty() {
        return Ok(None);
    }
    let program = Program::new(options.exec.split_whitespace().map(Into::into).collect());
    let program = program.ok_or_else(|| Status::Usage.error("-e names no program"))?;
    Ok(Some(Handler { program, limit: HANDLER_TIMEOUT }))
}

/// As in kvexpress, even the default address overrides CONSUL_HTTP_ADDR. `anonymous` means no token.
pub(super) fn consul(options: &Flags) -> consul::ConnectOptions {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    consul::ConnectOptions {
        address: given(&options.server),
        token: given(&options.token).filter(|token| token != "anonymous"),
        ..consul::ConnectOptions::default()
    }
}
