//! The log of a run, on stderr (kvexpress with `--verbose`: on stdout): lines of text for people, or one JSON object
//! per line for machines.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::telemetry::level::Level;
use crate::telemetry::outcome::Outcome;
use crate::telemetry::stderr::{self, Stderr};
use crate::telemetry::syslog::Syslog;
use crate::util::text;
use crate::util::time::rfc3339_millis;

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// The stream that text lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stderr,
    Stdout,
}

/// The log of a run.
#[derive(Clone, Debug)]
pub struct Logger {
    program: String,
    format: Format,
    stream: Stream,
    /// The system's log, which kvexpress writes in addition.
    syslog: Option<Arc<Syslog>>,
}

impl Format {
    /// `text` or `json`.
    pub fn parse(text: &str) -> Option<Format> {
        match text {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }

    /// The format that a command line asks for, even if the command line is invalid otherwise: its error is logged in
    /// this format. Arguments after `--` belong to another program.
    pub fn requested_by(arguments: &[OsString]) -> Format {
        let ours = arguments.split(|argument| argument == "--").next().unwrap_or_default();
        let is_two_words = ours.windows(2).any(|pair| pair == ["--log-format", "json"]);
        if is_two_words || ours.iter().any(|word| word == "--log-format=json") { Format::Json } else { Format::Text }
    }
}

impl Logger {
    /// A log on stderr; `program` is the name in its lines.
    pub fn new(program: &str, format: Format) -> Logger {
        Logger { program: program.to_owned(), format, stream: Stream::Stderr, syslog: None }
    }

    /// The same log, which also writes to the system's log.
    pub fn with_syslog(self) -> Logger {
        let syslog = Syslog::open(&self.program).map(Arc::new);
        Logger { syslog, ..self }
    }

    /// The same log, with its text lines on stdout, as kvexpress prints them with `--verbose`.
    pub fn on_stdout(self) -> Logger {
        Logger { stream: Stream::Stdout, ..self }
    }

    /// The name of the program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The format of its lines.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Logs a line.
    pub fn log(&self, level: Level, message: &str) {
        self.send_to_syslog(level, message);
        match self.format {
            Format::Text => self.print_line(message),
            Format::Json => self.write(level, message, None),
        }
    }

    /// Logs the error of a failed run, as its last line.
    pub fn fail(&self, message: &str, outcome: Option<&Outcome>) {
        self.send_to_syslog(Level::Error, message);
        match self.format {
            Format::Text => self.print_line(&format!("{}: {message}", self.program)),
            Format::Json => self.write(Level::Error, message, outcome),
        }
    }

    /// Logs the result of a run, as its last line.
    pub fn conclude(&self, message: &str, outcome: Option<&Outcome>) {
        self.send_to_syslog(Level::Info, message);
        match self.format {
            Format::Text => self.print_line(message),
            Format::Json => self.write(Level::Info, message, outcome),
        }
    }

    fn print_line(&self, line: &str) {
        match self.stream {
            Stream::Stderr => stderr::print_line(line),
            Stream::Stdout => stderr::print_line_to_stdout(line),
        }
    }

    fn send_to_syslog(&self, level: Level, message: &str) {
        if let Some(syslog) = &self.syslog {
            syslog.send(level, message);
        }
    }

    /// A JSON object, with its newline, for a line that a child program printed.
    pub(crate) fn quote(&self, source: &str, line: &[u8]) -> String {
        self.json(Level::Info, Some(source), &String::from_utf8_lossy(line), None)
    }

    fn write(&self, level: Level, message: &str, outcome: Option<&Outcome>) {
        Stderr::default().pass_on(self.json(level, None, message, outcome).as_bytes());
    }

    fn json(&self, level: Level, source: Option<&str>, message: &str, outcome: Option<&Outcome>) -> String {
        let time = rfc3339_millis(SystemTime::now());
        let outcome = outcome.map(Fields::of);
        let object = Object { time, level: level.word(), program: &self.program, source, message, outcome };
        let json = serde_json::to_string(&object).unwrap_or_default(); // Text and numbers: nothing can fail.
        format!("{}\n", text::json(&json))
    }
}

/// A line of the JSON log.
#[derive(Serialize)]
struct Object<'a> {
    time: String,
    level: &'static str,
    program: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    message: &'a str,
    #[serde(flatten)]
    outcome: Option<Fields<'a>>,
}

/// What the last line of a run says about its outcome.
#[derive(Serialize)]
struct Fields<'a> {
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'a, str>>,
    result: &'static str,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<&'static str>,
    duration_ms: u64,
    retries: u64,
}

impl Fields<'_> {
    fn of(run: &Outcome) -> Fields<'_> {
        Fields {
            direction: run.direction.word(),
            key: run.key.as_deref(),
            file: run.file.as_deref().map(Path::to_string_lossy),
            result: run.result.word(),
            status: run.status(),
            checksum: run.checksum.map(|checksum| checksum.to_string()),
            bytes: run.bytes,
            lines: run.lines,
            reason: run.reason.as_deref().filter(|_| run.failure.is_none()),
            handler: run.handler.word(),
            duration_ms: u64::try_from(run.took.as_millis()).unwrap_or(u64::MAX),
            retries: run.retries,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quoted_line_is_one_object_on_one_line(program in any::<String>(), line in any::<Vec<u8>>()) {
            let quoted = Logger::new(&program, Format::Json).quote("handler", &line);
            prop_assert_eq!(quoted.find('\n'), quoted.len().checked_sub(1));
            let object: serde_json::Value = serde_json::from_str(&quoted).unwrap_or_default();
            prop_assert_eq!(object.get("message").and_then(|message| message.as_str()), Some(&*String::from_utf8_lossy(&line)));
            prop_assert_eq!(object.get("program").and_then(|program| program.as_str()), Some(program.as_str()));
        }
    }

    #[test]
    fn a_command_line_asks_for_json_only_with_its_own_words() {
        let format = |words: &str| Format::requested_by(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        for words in ["--log-format json", "-k x --log-format=json --nonsense", "-v --log-format json -- x"] {
            assert_eq!(format(words), Format::Json, "{words}");
        }
        for words in ["", "--log-format text", "json", "--log-format", "-- --log-format json", "x -- --log-format=json"]
        {
            assert_eq!(format(words), Format::Text, "{words}");
        }
    }
}
