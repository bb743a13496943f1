//! The values of flags, parsed into what they mean to our own orders.

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

/// Where Datadog's agent of old has its configuration.
const DATADOG_AGENT: &str = "/etc/dd-agent/datadog.conf";
/// kvexpress waits for ever. A handler that restarts a service slowly still has time to.
pub(super) const HANDLER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Where there is Datadog's agent of old, kvexpress sends metrics without being told. Its events went to Datadog itself, by
/// two keys; ours go to the agent.
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

/// One that is on this node, or may be.
pub(super) fn file(options: &Flags) -> Result<PathBuf> {
    parsed("-f", needed("-f", &options.file)?, typed::destination)
}

pub(super) fn prefix(options: &Flags) -> Result<Prefix> {
    parsed("-p", &options.prefix, Prefix::parse)
}

pub(super) fn parsed<T>(flag: &str, text: &str, parse: impl Fn(&str) -> std::result::Result<T, String>) -> Result<T> {
    parse(text).map_err(|wrong| Status::Usage.error(format!("{flag}: {wrong}")))
}

pub(super) fn needed<'a>(flag: &str, text: &'a str) -> Result<&'a str> {
    if text.is_empty() { Err(missing(flag)) } else { Ok(text) }
}

pub(super) fn missing(flag: &str) -> Error {
    Status::Usage.error(format!("{flag} is missing"))
}

/// kvexpress knows no limit but Consul's, which may have been raised.
pub(super) fn guards(min_lines: u64) -> Guards {
    Guards { min_lines, max_size: guard::LARGEST, max_shrink: None }
}

pub(super) fn lines(options: &Flags) -> u64 {
    u64::try_from(options.length).unwrap_or(0)
}

/// Split at blanks: quotes are part of the words, as there.
pub(super) fn handler(options: &Flags) -> Result<Option<Handler>> {
    if options.exec.is_empty() {
        return Ok(None);
    }
    let program = Program::new(options.exec.split_whitespace().map(Into::into).collect());
    let program = program.ok_or_else(|| Status::Usage.error("-e names no program"))?;
    Ok(Some(Handler { program, limit: HANDLER_TIMEOUT }))
}

/// The address wins over CONSUL_HTTP_ADDR also where it is not given, as there; `anonymous` is no token.
pub(super) fn consul(options: &Flags) -> consul::ConnectOptions {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    consul::ConnectOptions {
        address: given(&options.server),
        token: given(&options.token).filter(|token| token != "anonymous"),
        ..consul::ConnectOptions::default()
    }
}
