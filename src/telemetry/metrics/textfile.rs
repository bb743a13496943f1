//! Prometheus: files for node_exporter's textfile collector, one for each direction, prefix, key and file.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;

use crate::document::Checksum;
use crate::telemetry::outcome::Outcome;
use crate::util::open;

/// The maximum that is read of an earlier file. The files that kvx writes are much smaller.
const MAX_SIZE: u64 = 64 * 1024;
/// The number of characters of the key in the name of the file.
const MAX_NAME: usize = 100;

const LAST_RUN: Series = Series("kvx_last_run_timestamp_seconds", "When the last run ended.");
const LAST_SUCCESS: Series =
    Series("kvx_last_success_timestamp_seconds", "When the last run ended that had the exit status 0.");
const EXIT_STATUS: Series = Series("kvx_last_run_exit_status", "Exit status of the last run.");
const DURATION: Series = Series("kvx_last_run_duration_seconds", "How long the last run took.");
const RESULT: Series = Series("kvx_last_run_result", "1 for what came of the last run.");
const BYTES: Series = Series("kvx_document_bytes", "Size of the document that was last seen.");
const LINES: Series = Series("kvx_document_lines", "Lines of the document that was last seen.");
const PENDING: Series =
    Series("kvx_handler_pending", "1 while a handler of the file is pending, of this command line or of another.");

/// A name and its help text, which must be the same in all files, or node_exporter reports an error.
struct Series(&'static str, &'static str);

/// Writes the file of this run, and replaces that of the previous run. Writes nothing if the key is not known.
///
/// # Errors
/// The operating system's error.
pub fn write(directory: &Path, run: &Outcome) -> io::Result<()> {
    let Some(name) = file_name(run) else { return Ok(()) };
    let path = directory.join(&name);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    let text = text(run, now, &previous(&path));
    // node_exporter reads only files that end in .prom. No fsync: after a power loss, the next run writes the file
    // again.
    let staged = directory.join(format!(".{name}.{}~", std::process::id()));
    let placed = stage(&staged, text.as_bytes()).and_then(|()| fs_err::rename(&staged, &path));
    if placed.is_err() {
        let _ = fs_err::remove_file(&staged);
    }
    placed
}

fn stage(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut file = match options.open(path) {
        // Left over from a run with the same process id that was killed.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            fs_err::remove_file(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(text)?;
    file.set_permissions(PermissionsExt::from_mode(0o644)) // Independent of the umask: another user reads the file.
}

/// The file of the previous run; empty if it cannot be read.
fn previous(path: &Path) -> String {
    let mut text = Vec::new();
    match open::regular(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text)) {
        Ok(_) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// The name of the file, such as `kvx-out-hosts-3f9a41c2.prom`. The hash makes it unique to this prefix, key and file.
fn file_name(run: &Outcome) -> Option<String> {
    let key = run.key.as_deref()?;
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let readable: String = key.chars().map(safe).take(MAX_NAME).collect();
    let mut of = format!("{}\0{key}\0", run.prefix).into_bytes();
    of.extend(run.file.iter().flat_map(|file| file.as_os_str().as_bytes()));
    let hash: String = Checksum::of(&of).to_string().chars().take(8).collect();
    Some(format!("kvx-{}-{readable}-{hash}.prom", run.direction.word()))
}

/// The content of the file. Values that this run does not know are taken from the `previous` file.
fn text(run: &Outcome, now: Duration, previous: &str) -> String {
    let mut labels = format!("direction=\"{}\"", run.direction.word());
    for (name, value) in [
        ("prefix", Some(run.prefix.as_str())),
        ("key", run.key.as_deref()),
        ("file", run.file.as_deref().map(Path::to_string_lossy).as_deref()),
    ] {
        labels.push_str(&format!(",{name}=\"{}\"", escaped(value.unwrap_or_default())));
    }
    let seconds = |time: Duration| format!("{}.{:03}", time.as_secs(), time.subsec_millis());
    let number = |known: Option<u64>| known.map(|number| number.to_string());
    let pending = run.pending.map(|pending| u8::from(pending).to_string());
    let result = format!("{labels},result=\"{}\"", run.result.word());
    let mut text = String::new();
    for (Series(name, help), labels, value) in [
        (LAST_RUN, &labels, Some(seconds(now))),
        (LAST_SUCCESS, &labels, run.failure.is_none().then(|| seconds(now))),
        (EXIT_STATUS, &labels, Some(run.status().to_string())),
        (DURATION, &labels, Some(seconds(run.took))),
        (RESULT, &result, Some("1".into())),
        (BYTES, &labels, number(run.bytes)),
        (LINES, &labels, number(run.lines)),
        (PENDING, &labels, pending),
    ] {
        if let Some(value) = value.or_else(|| value_of(name, previous)) {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n"));
        }
    }
    text
}

/// The value of a series in the previous file.
fn value_of(name: &str, previous: &str) -> Option<String> {
    let line = previous.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{'))?;
    let (_, value) = line.rsplit_once("} ")?;
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let is_number = [whole, part].iter().all(|digits| digits.parse::<u64>().is_ok());
    is_number.then(|| value.to_owned())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::telemetry::outcome::{Direction, RunResult};

    fn run() -> Outcome {
        let outcome = Outcome::new(Direction::Out, "kvexpress", Duration::from_millis(1234), 0);
        outcome.on(Some("a/b"), Some(Path::new("/etc/ho\"st\\s\n}"))).with_result(RunResult::Installed)
    }

    #[test]
    fn values_that_a_run_does_not_know_are_taken_from_the_previous_file() {
        let known = Outcome { bytes: Some(30), lines: Some(12), pending: Some(true), ..run() };
        let first = text(&known, Duration::from_millis(5_007), "");
        let labels = "direction=\"out\",prefix=\"kvexpress\",key=\"a/b\",file=\"/etc/ho\\\"st\\\\s\\n}\"";
        for line in [
            format!("kvx_last_success_timestamp_seconds{{{labels}}} 5.007"),
            format!("kvx_last_run_duration_seconds{{{labels}}} 1.234"),
            format!("kvx_last_run_result{{{labels},result=\"installed\"}} 1"),
            format!("kvx_document_bytes{{{labels}}} 30"),
            format!("kvx_handler_pending{{{labels}}} 1"),
        ] {
            assert!(first.lines().any(|found| found == line), "no {line} in:\n{first}");
        }
        let failed = text(&run().failed(&Status::Unavailable.error("gone")), Duration::from_secs(9), &first);
        for (series, value) in [
            ("kvx_last_run_timestamp_seconds", "9.000"),
            ("kvx_last_success_timestamp_seconds", "5.007"),
            ("kvx_last_run_exit_status", "69"),
            ("kvx_document_lines", "12"),
            ("kvx_handler_pending", "1"),
        ] {
            assert_eq!(value_of(series, &failed).as_deref(), Some(value), "{series} in:\n{failed}");
        }
    }

    #[test]
    fn unknown_values_are_left_out_and_a_previous_value_that_is_not_a_number_is_not_kept() {
        for before in ["", "kvx_handler_pending{} 1.2.3\nkvx_document_bytes{} NaN\n", "kvx_handler_pending"] {
            let text = text(&run(), Duration::ZERO, before);
            assert!(!text.contains("pending") && !text.contains("bytes"), "{text}");
        }
    }

    #[test]
    fn names_are_safe_and_of_one_key_and_file() {
        let name_of = |prefix: &str, key: &str, file: &str| {
            let run = Outcome::new(Direction::In, prefix, Duration::ZERO, 0).on(Some(key), Some(Path::new(file)));
            file_name(&run).unwrap_or_default()
        };
        let name = |key: &str, file: &str| name_of("p", key, file);
        assert!(name("hosts", "/etc/hosts").starts_with("kvx-in-hosts-"));
        let odd = name(&"../ü \n".repeat(100), "/x");
        assert!(odd.len() < 150 && odd.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{odd}");
        assert_ne!(name("a/b", "/x"), name("a_b", "/x"));
        assert_ne!(name("a", "/x"), name("a", "/y"));
        assert_ne!(name("a", "/x"), name_of("q", "a", "/x"));
        assert_eq!(name("a", "/x"), name("a", "/x"));
    }
}
