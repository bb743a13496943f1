//! Parsers of option values.

use std::path::PathBuf;
use std::time::Duration;

use crate::document::Checksum;
use crate::document::guard::Percent;
use crate::input::url::Url;
use crate::install::Attributes;
use crate::layout::history::{Keep, MIN_KEEP};
use crate::layout::keys::{Key, Prefix, ValuePath};
use crate::layout::record;
use crate::layout::version::VersionQuery;
use crate::process::check::Check;
use crate::telemetry::log::Format;
use crate::telemetry::metrics::dogstatsd::StatsdAddress;
use crate::util::text;
use crate::util::typed;
pub use crate::util::typed::{destination, path};

/// `-k`.
pub fn key(text: &str) -> Result<Key, String> {
    Key::parse(text)
}

/// `-p`.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text)
}

/// `--raw`.
pub fn value_path(text: &str) -> Result<ValuePath, String> {
    ValuePath::parse(text)
}

/// `-m`.
pub fn note(text: &str) -> Result<String, String> {
    record::note(text).ok_or_else(|| "it says nothing".into())
}

/// `--at`, `--from` and `--to`: a version of a key.
pub fn version(text: &str) -> Result<VersionQuery, String> {
    VersionQuery::parse(text)
}

/// The largest `--keep`: the names of this many versions are read with each upload.
const MAX_KEEP: usize = 1000;

/// `--keep`.
pub fn keep(text: &str) -> Result<Keep, String> {
    match text.parse() {
        Ok(0) => Ok(Keep::Nothing),
        Ok(newest @ MIN_KEEP..=MAX_KEEP) => Ok(Keep::Newest(newest)),
        _ => Err(format!("write a number from {MIN_KEEP} to {MAX_KEEP}, or 0 for no history")),
    }
}

/// `--expect`.
pub fn checksum(text: &str) -> Result<Checksum, String> {
    Checksum::parse(text.as_bytes()).ok_or_else(|| "a checksum is 64 hex digits, as sha256sum prints".into())
}

/// `-u`.
pub fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(str::to_owned)
}

/// A duration such as `30s`, `500ms` or `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("no time at all is too short".into()),
        Ok(duration) if duration > Duration::from_secs(24 * 60 * 60) => Err("more than a day is too long".into()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write a duration such as 30s, 500ms or 2m".into()),
    }
}

/// A size in bytes, or with K, M or G (of 1024).
pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: usize = match text.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "m" | "MiB" => 1 << 20,
        "G" | "g" | "GiB" => 1 << 30,
        _ => 0,
    };
    match digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(size) if size > 0 => Ok(size),
        _ => Err("write a size such as 65536, 512K or 2M".into()),
    }
}

/// `--max-shrink`: `50` or `50%`.
pub fn percent(text: &str) -> Result<Percent, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse().ok().and_then(Percent::new);
    percent.ok_or_else(|| "write a percentage from 0 to 100, such as 50".into())
}

/// `--check`.
pub fn check(words: &str) -> Result<Check, String> {
    Check::parse(words).map_err(|wrong| format!("it {wrong}"))
}

/// Maximum length of a reason, in characters. With user, host and time appended, every program still prints all of it.
const MAX_REASON: usize = 200;

/// `-r`. A reason must not be empty: kvx and kvexpress ignore an empty stop or lock key.
pub fn reason(text: &str) -> Result<String, String> {
    match text::excerpt(text) {
        reason if reason.is_empty() => Err("say why".into()),
        reason if reason.chars().count() > MAX_REASON => {
            Err(format!("it is too long; say it in {MAX_REASON} characters"))
        }
        reason => Ok(reason),
    }
}

/// A name or an address.
pub fn name(text: &str) -> Result<String, String> {
    typed::plain(text).map(str::to_owned)
}

/// `-f`: a file on this node, which need not exist.
pub fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("it is empty".into()),
        "-" => Err("name a file".into()),
        path => destination(path),
    }
}

/// `-c`: permission bits in octal, with or without leading zeros, as for chmod.
pub fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && text.starts_with(|c: char| c.is_ascii_digit()) => Ok(mode),
        _ => Err("write the mode in octal, such as 644 or 0644".into()),
    }
}

/// `--dogstatsd`. `None` if it is given without an address.
pub fn dogstatsd(text: &str) -> Result<Option<StatsdAddress>, String> {
    if text.is_empty() { Ok(None) } else { StatsdAddress::parse(typed::plain(text)?).map(Some) }
}

/// `--log-format`.
pub fn log_format(text: &str) -> Result<Format, String> {
    Format::parse(text).ok_or_else(|| "write text or json".into())
}

/// `-o`: `user`, `user:group` or `:group`.
pub fn owner(text: &str) -> Result<Attributes, String> {
    let (user, group) = typed::plain(text)?.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    match (named(user), group.map(named)) {
        (None, None | Some(None)) | (_, Some(None)) => Err("write the owner as user, user:group or :group".into()),
        (user, group) => Ok(Attributes { mode: None, user, group: group.flatten() }),
    }
}
