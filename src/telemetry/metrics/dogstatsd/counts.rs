//! The metrics of a run, by kvexpress's names. For results that kvexpress does not have, only the duration is sent. No
//! I/O.

use super::tags;
use super::wire::{Tags, count, gauge};
use crate::error::Status;
use crate::telemetry::outcome::{Direction, Outcome, RunResult};

/// The metrics of a run, as lines of the dogstatsd protocol.
pub(super) fn from_run(run: &Outcome, prefix: &str, host: &str) -> Vec<String> {
    let mut counts = Counts { run, prefix, host, lines: Vec::new() };
    counts.outcome();
    counts.consul();
    counts.lines
}

struct Counts<'a> {
    run: &'a Outcome,
    prefix: &'a str,
    host: &'a str,
    lines: Vec<String>,
}

impl Counts<'_> {
    fn outcome(&mut self) {
        let run = self.run;
        match run.result {
            RunResult::WouldUpload => {}
            RunResult::Uploaded => {
                self.count("in", "complete");
                self.gauge("bytes", run.bytes);
                self.gauge("lines", run.lines);
                self.time("complete");
            }
            RunResult::Installed => {
                self.installed();
                self.time("complete");
            }
            RunResult::Restored | RunResult::Reloaded | RunResult::Printed => self.time("complete"),
            RunResult::Unchanged => self.time("file_checksums_match"),
            RunResult::Stopped if run.direction == Direction::Stop => self.time("complete"),
            RunResult::Stopped => self.time("stop_key"),
            RunResult::Held => self.time("hold_key"),
            RunResult::Locked if run.direction == Direction::Lock => self.count("lock", "complete"),
            RunResult::Locked => {
                self.count_of(self.file().as_deref(), "locked", "complete");
                self.time_of(self.file().as_deref(), "lock_key");
            }
            RunResult::Unlocked => self.count("unlock", "complete"),
            RunResult::Nothing => self.time("nothing"),
            RunResult::TooShort => {
                self.count("not_long_enough", "not_long_enough");
                self.time("not_long_enough");
            }
            RunResult::Torn => {
                self.count("checksum_mismatch", "checksum_mismatch");
                self.time("checksum_mismatch");
            }
            RunResult::InstalledOnly => {
                self.installed();
                self.count("panic", location(run.failure));
            }
            RunResult::HandlerFailed | RunResult::Failed => self.count("panic", location(run.failure)),
        }
    }

    fn installed(&mut self) {
        self.count(if self.run.direction == Direction::Raw { "raw" } else { "out" }, "complete");
    }

    /// Retries and errors of requests to Consul.
    fn consul(&mut self) {
        let run = self.run;
        if run.retries > 0 {
            let tags = Tags::default().and("host", self.host).and("direction", run.direction.word());
            self.lines.push(count(&self.name("consul_reconnect"), run.retries, &tags));
        }
        if matches!(run.failure, Some(Status::Unavailable | Status::Denied)) {
            let location = match run.direction {
                Direction::In | Direction::Copy | Direction::Stop | Direction::Lock => "set",
                Direction::Unlock => "delete",
                Direction::Out | Direction::Raw => "get",
            };
            self.count("consul_error", location);
        }
    }

    /// The path of a locked file, which kvexpress uses as the `key` tag.
    fn file(&self) -> Option<String> {
        self.run.file.as_deref().map(|file| file.to_string_lossy().into_owned())
    }

    fn count(&mut self, name: &str, location: &str) {
        self.count_of(self.run.key.as_deref(), name, location);
    }

    fn count_of(&mut self, key: Option<&str>, name: &str, location: &str) {
        self.lines.push(count(&self.name(name), 1, &tags(key, self.run, location, self.host)));
    }

    fn gauge(&mut self, name: &str, value: Option<u64>) {
        let tags = tags(self.run.key.as_deref(), self.run, "complete", self.host);
        self.lines.extend(value.map(|value| gauge(&self.name(name), value.into(), &tags)));
    }

    fn time(&mut self, location: &str) {
        self.time_of(self.run.key.as_deref(), location);
    }

    fn time_of(&mut self, key: Option<&str>, location: &str) {
        let tags = tags(key, self.run, location, self.host);
        self.lines.push(gauge(&self.name("time"), self.run.took.as_millis(), &tags));
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }
}

/// The `location` tag of a failure: kvexpress's word for it, if there is one.
fn location(failure: Option<Status>) -> &'static str {
    match failure {
        Some(Status::HandlerFailed) => "handler",
        Some(Status::Usage) | None => "usage",
        Some(Status::Refused) => "refused",
        Some(Status::NoSuchKey) => "no_such_key",
        Some(Status::Unavailable) => "no_more_retries",
        Some(Status::CannotWrite) => "write_file",
        Some(Status::CannotRead) => "read_input",
        Some(Status::TryAgain) => "try_again",
        Some(Status::Denied) => "denied",
        Some(Status::Configuration) => "configuration",
    }
}
