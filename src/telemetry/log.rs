//! All that a run tells, on stderr (kvexpress with `--verbose`: on stdout): lines for people, or objects for machines, one
//! a line.

use std::ffi::OsString;
use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use crate::telemetry::level::Level;
use crate::telemetry::outcome::Outcome;
use crate::telemetry::stderr::{self, Stderr};
use crate::telemetry::syslog::Syslog;
use crate::util::text;
use crate::util::time::rfc3339_millis;

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As people read it.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Where the lines for people go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stderr,
    Stdout,
}

/// Where a run tells.
#[derive(Clone, Debug)]
pub struct Logger {
    program: String,
    format: Format,
    stream: Stream,
    /// Besides, for kvexpress's sake.
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

    /// The one that a command line asks for which may make no sense otherwise. Behind `--` it is somebody else's.
    pub fn among(arguments: &[OsString]) -> Format {
        let ours = arguments.split(|argument| argument == "--").next().unwrap_or_default();
        let apart = ours.windows(2).any(|pair| pair == ["--log-format", "json"]);
        if apart || ours.iter().any(|word| word == "--log-format=json") { Format::Json } else { Format::Text }
    }
}

impl Logger {
    /// Of a program.
    pub fn new(program: &str, format: Format) -> Logger {
        Logger { program: program.to_owned(), format, stream: Stream::Stderr, syslog: None }
    }

    /// The same, which is also told to the system's log.
    pub fn and_syslog(self) -> Logger {
        let syslog = Syslog::open(&self.program).map(Arc::new);
        Logger { syslog, ..self }
    }

    /// The same, with its lines on stdout, as kvexpress has them with `--verbose`.
    pub fn on_stdout(self) -> Logger {
        Logger { stream: Stream::Stdout, ..self }
    }

    /// Its name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What its lines look like.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Tells something.
    pub fn tell(&self, level: Level, message: &str) {
        self.log(level, message);
        match self.format {
            Format::Text => self.line(message),
            Format::Json => self.write(self.object(level).text("message", message)),
        }
    }

    /// Tells why the run failed.
    pub fn fail(&self, message: &str, outcome: Option<&Outcome>) {
        self.log(Level::Error, message);
        match self.format {
            Format::Text => self.line(&format!("{}: {message}", self.program)),
            Format::Json => self.last(Level::Error, message, outcome),
        }
    }

    /// Tells what came of the run.
    pub fn conclude(&self, message: &str, outcome: Option<&Outcome>) {
        self.log(Level::Info, message);
        match self.format {
            Format::Text => self.line(message),
            Format::Json => self.last(Level::Info, message, outcome),
        }
    }

    fn line(&self, line: &str) {
        match self.stream {
            Stream::Stderr => stderr::tell(line),
            Stream::Stdout => stderr::tell_on_stdout(line),
        }
    }

    fn log(&self, level: Level, message: &str) {
        if let Some(syslog) = &self.syslog {
            syslog.tell(level, message);
        }
    }

    /// A line of what another program says: with its newline.
    pub(crate) fn quote(&self, source: &str, line: &[u8]) -> String {
        let object = self.object(Level::Info).text("source", source);
        object.text("message", &String::from_utf8_lossy(line)).end()
    }

    fn last(&self, level: Level, message: &str, outcome: Option<&Outcome>) {
        let object = self.object(level).text("message", message);
        self.write(match outcome {
            None => object,
            Some(run) => object
                .text("direction", run.direction.word())
                .maybe("key", run.key.as_deref())
                .maybe("file", run.file.as_deref().map(|file| file.to_string_lossy()).as_deref())
                .text("result", run.result.word())
                .number("status", run.status())
                .maybe("checksum", run.checksum.map(|checksum| checksum.to_string()).as_deref())
                .some_number("bytes", run.bytes)
                .some_number("lines", run.lines)
                .maybe("reason", run.reason.as_deref().filter(|_| run.failure.is_none()))
                .maybe("handler", run.handler.word())
                .number("duration_ms", run.took.as_millis())
                .number("retries", run.retries),
        });
    }

    fn object(&self, level: Level) -> Object {
        Object("{".into())
            .text("time", &rfc3339_millis(SystemTime::now()))
            .text("level", level.word())
            .text("program", &self.program)
    }

    fn write(&self, object: Object) {
        Stderr::default().pass_on(object.end().as_bytes());
    }
}

/// A JSON object that is being written.
struct Object(String);

impl Object {
    fn field(mut self, name: &str, value: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{name}\":{value}"));
        self
    }

    fn text(self, name: &str, value: &str) -> Object {
        let value = serde_json::Value::from(value).to_string();
        self.field(name, &text::json(&value))
    }

    fn number(self, name: &str, value: impl Display) -> Object {
        self.field(name, &value.to_string())
    }

    fn maybe(self, name: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    fn some_number(self, name: &str, value: Option<u64>) -> Object {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_quoted_is_one_object_on_one_line(program in any::<String>(), line in any::<Vec<u8>>()) {
            let quoted = Logger::new(&program, Format::Json).quote("handler", &line);
            prop_assert_eq!(quoted.find('\n'), quoted.len().checked_sub(1));
            let object: serde_json::Value = serde_json::from_str(&quoted).unwrap_or_default();
            prop_assert_eq!(object.get("message").and_then(|message| message.as_str()), Some(&*String::from_utf8_lossy(&line)));
            prop_assert_eq!(object.get("program").and_then(|program| program.as_str()), Some(program.as_str()));
        }
    }

    #[test]
    fn a_command_line_asks_for_json_only_with_its_own_words() {
        let format = |words: &str| Format::among(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        for words in ["--log-format json", "-k x --log-format=json --nonsense", "-v --log-format json -- x"] {
            assert_eq!(format(words), Format::Json, "{words}");
        }
        for words in ["", "--log-format text", "json", "--log-format", "-- --log-format json", "x -- --log-format=json"]
        {
            assert_eq!(format(words), Format::Text, "{words}");
        }
    }
}
