//! Prints the overview as tables.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use super::compare::describe;
use super::{FileState, KeyState, LockState, Overview};
use crate::document::Checksum;
use crate::operator::table::table;
use crate::util::text;
use crate::util::text::size;
use crate::util::time::rfc3339;

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(key).collect();
        let locks: Vec<_> = self.locks.iter().map(lock).collect();
        let files: Vec<_> = self.files.iter().map(file).collect();
        let tables = [
            table(["KEY", "CHECKSUM", "LINES", "SIZE", "STORED AS", "INDEX", "UPLOADED", "BY", "STATE"], &keys),
            table(["LOCKED ON", "FILE", "REASON"], &locks),
            table(["FILE", "KEY", "CHECKSUM", "SINCE", "STATE"], &files),
            self.files.iter().filter_map(remedy).collect(),
        ];
        let elsewhere = (self.files.is_empty() && !self.is_empty())
            .then(|| format!("no installed files recorded in {}; state is per user\n", text::line(&self.state_dir)));
        let parts: Vec<String> = tables.into_iter().chain(elsewhere).filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join("\n"))
    }
}

fn key(key: &KeyState) -> [String; 9] {
    let bytes = |bytes: u64| size(usize::try_from(bytes).unwrap_or(usize::MAX));
    let stored = match (key.encoding, key.stored) {
        (Some("plain"), _) => Some("plain".to_owned()),
        (Some(encoding), Some(stored)) => Some(format!("{encoding}, {}", size(stored))),
        _ => None,
    };
    [
        key.key.clone(),
        short(&key.checksum),
        or_dash(key.lines),
        or_dash(key.bytes.map(bytes)),
        or_dash(stored),
        or_dash(key.index),
        or_dash(key.uploaded.as_deref().map(to_seconds)),
        or_dash(key.by.as_ref().map(|by| text::cell(by))),
        key.problem().unwrap_or("ok".into()),
    ]
}

/// A time without its milliseconds.
fn to_seconds(time: &str) -> String {
    time.split_once('.').map_or(time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

fn lock(lock: &LockState) -> [String; 3] {
    let file = lock.file.clone().or_else(|| Some(format!("(SHA-256 {})", short(&Some(lock.hash.clone())))));
    [lock.node.clone(), or_dash(file), lock.reason.clone()]
}

fn file(file: &FileState) -> [String; 5] {
    let since = file.since.and_then(|since| UNIX_EPOCH.checked_add(Duration::from_secs(since)));
    [file.file.clone(), or_dash(file.key.as_ref()), short(&file.checksum), or_dash(since.map(rfc3339)), state(file)]
}

fn state(file: &FileState) -> String {
    let busy = file.busy.then(|| "busy: a run is in progress".to_owned());
    // For a file that is behind, the last successful run shows that no run was started since.
    let is_behind = file.in_consul.is_some() && file.checksum != file.in_consul;
    let last_run = file.last_run.as_ref().filter(|run| run.status == 0 && is_behind).map(describe);
    let all: Vec<String> = busy.into_iter().chain(file.problems.iter().cloned()).chain(last_run).collect();
    match (all.is_empty(), &file.in_consul) {
        (true, Some(_)) => "ok".into(),
        (true, None) => "unchanged since it was installed; Consul was not asked".into(),
        (false, _) => all.join("; "),
    }
}

/// How to bring a file with problems up to date.
fn remedy(file: &FileState) -> Option<String> {
    if file.problems.is_empty() || file.command.is_empty() {
        return None;
    }
    let (name, command) = (text::line(&file.file), text::command(&file.command));
    let others = file.pending.iter().filter(|words| !runs(&file.command, words)).map(|words| {
        let (words, word) = (text::line(words), text::quoted(&file.file));
        format!(
            "{name}: `{words}` is pending for another command line; if that no longer exists, `kvx clean -f {word}`\n"
        )
    });
    Some([format!("{name}: installed by `{command}`\n")].into_iter().chain(others).collect())
}

/// Whether a command line has this handler, with `-e` or after `--`.
fn runs(command: &[String], handler: &str) -> bool {
    let by_option = |word: &String| shell_words::split(word).is_ok_and(|words| shell_words::join(words) == handler);
    command.iter().any(by_option) || shell_words::join(command).ends_with(&format!("-- {handler}"))
}

fn short(checksum: &Option<String>) -> String {
    or_dash(checksum.as_ref().and_then(|hex| Checksum::parse(hex.as_bytes())).map(|known| known.short().to_string()))
}

fn or_dash(cell: Option<impl fmt::Display>) -> String {
    cell.map_or("-".into(), |cell| cell.to_string())
}
