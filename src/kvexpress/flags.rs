//! kvexpress's flags: a table, for reading a command line and for its help.

use super::numbers;
use super::subcommand::Subcommand;
use crate::util::strconv;

/// What the flags say. An empty text says nothing, as there.
#[derive(Clone, PartialEq, Eq)]
pub struct Flags {
    /// `-C`.
    pub config: String,
    /// `-s`.
    pub server: String,
    /// `-t`.
    pub token: String,
    /// `-p`.
    pub prefix: String,
    /// `-e`.
    pub exec: String,
    /// `-l`.
    pub length: i64,
    /// `-c`: permission bits.
    pub chmod: u32,
    /// `-o`.
    pub owner: String,
    /// `-z`.
    pub compress: bool,
    /// `-d`.
    pub dogstatsd: bool,
    /// `-D`.
    pub dogstatsd_address: String,
    /// `-a`.
    pub datadog_api_key: String,
    /// `-A`.
    pub datadog_app_key: String,
    /// `--verbose`.
    pub verbose: bool,
    /// `-k`.
    pub key: String,
    /// `-f`.
    pub file: String,
    /// `-u`.
    pub url: String,
    /// `-S`.
    pub sorted: bool,
    /// `--ignore_stop`.
    pub ignore_stop: bool,
    /// `-r`.
    pub reason: String,
    /// `--keyfrom`.
    pub keyfrom: String,
    /// `--keyto`.
    pub keyto: String,
    /// Whether any of the words was a secret, also one that does not count since another came behind it.
    pub holds_secret: bool,
}

impl Default for Flags {
    fn default() -> Flags {
        Flags {
            config: String::new(),
            server: "localhost:8500".into(),
            token: "anonymous".into(),
            prefix: "kvexpress".into(),
            exec: String::new(),
            length: 10,
            chmod: 0o640,
            owner: String::new(),
            compress: false,
            dogstatsd: false,
            dogstatsd_address: "localhost:8125".into(),
            datadog_api_key: String::new(),
            datadog_app_key: String::new(),
            verbose: false,
            key: String::new(),
            file: String::new(),
            url: String::new(),
            sorted: false,
            ignore_stop: false,
            reason: String::new(),
            keyfrom: String::new(),
            keyto: String::new(),
            holds_secret: false,
        }
    }
}

/// A flag of all commands, or of some.
pub(super) struct Flag {
    pub short: Option<char>,
    pub long: &'static str,
    /// None named: all.
    of: &'static [Subcommand],
    pub takes: Takes,
    pub about: &'static str,
}

/// What a flag takes, and where that goes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Text(fn(&mut Flags) -> &mut String),
    Number(fn(&mut Flags) -> &mut i64),
    Mode(fn(&mut Flags) -> &mut u32),
    /// Alone it is true; a value stands behind `=` only.
    Switch(fn(&mut Flags) -> &mut bool),
}

use Takes::{Mode, Number, Switch, Text};

impl Flag {
    pub fn is_of(&self, command: Subcommand) -> bool {
        self.is_of_all() || self.of.contains(&command)
    }

    pub fn is_of_all(&self) -> bool {
        self.of.is_empty()
    }

    pub fn is_switch(&self) -> bool {
        matches!(self.takes, Switch(_))
    }

    /// Whether that, as its value, is nobody else's business.
    fn is_secret(&self, value: &str) -> bool {
        match self.long {
            "token" => !matches!(value, "" | "anonymous"),
            "datadog_api_key" | "datadog_app_key" => !value.is_empty(),
            _ => false,
        }
    }

    /// Takes the value, or says what is wrong with it.
    pub fn set(&self, options: &mut Flags, value: String) -> Result<(), String> {
        // Not told: it may be the token that a flag before it has swallowed.
        let wrong = |what: &str, example: &str| format!("--{}: that is no {what}; write {example}", self.long);
        options.holds_secret |= self.is_secret(&value);
        match self.takes {
            Text(text) => *text(options) = value,
            Number(number) => {
                *number(options) = strconv::integer(&value).ok_or_else(|| wrong("number", "one such as 10"))?;
            }
            Mode(mode) => {
                *mode(options) = numbers::mode(&value).ok_or_else(|| wrong("mode", "it in octal, such as 0644"))?;
            }
            Switch(switch) => {
                *switch(options) = strconv::boolean(&value).ok_or_else(|| wrong("switch", "true or false"))?;
            }
        }
        Ok(())
    }
}

const fn flag(short: char, long: &'static str, of: &'static [Subcommand], takes: Takes, about: &'static str) -> Flag {
    Flag { short: Some(short), long, of, takes, about }
}

const fn long_flag(long: &'static str, of: &'static [Subcommand], takes: Takes, about: &'static str) -> Flag {
    Flag { short: None, long, of, takes, about }
}

/// A letter, and a name, means and takes the same with every command.
pub(super) static FLAGS: &[Flag] = &[
    flag(
        'k',
        "key",
        &[Subcommand::In, Subcommand::Out, Subcommand::Stop],
        Text(|o| &mut o.key),
        "name of the document in Consul, such as hosts",
    ),
    flag('k', "key", &[Subcommand::Raw], Text(|o| &mut o.key), "whole path in the KV store"),
    flag('f', "file", &[Subcommand::In], Text(|o| &mut o.file), "file to upload"),
    flag('f', "file", &[Subcommand::Out, Subcommand::Raw], Text(|o| &mut o.file), "file to install"),
    flag('f', "file", &[Subcommand::Lock, Subcommand::Unlock], Text(|o| &mut o.file), "the file, by its absolute path"),
    flag('f', "file", &[Subcommand::Clean], Text(|o| &mut o.file), "file to remove, with its .compare and .last"),
    flag('u', "url", &[Subcommand::In], Text(|o| &mut o.url), "upload what is at this URL"),
    flag('S', "sorted", &[Subcommand::In], Switch(|o| &mut o.sorted), "sort the lines, and drop the blank ones"),
    long_flag("ignore_stop", &[Subcommand::Out], Switch(|o| &mut o.ignore_stop), "install what is stopped, too"),
    flag('r', "reason", &[Subcommand::Stop, Subcommand::Lock], Text(|o| &mut o.reason), "why"),
    long_flag("keyfrom", &[Subcommand::Copy], Text(|o| &mut o.keyfrom), "key to copy"),
    long_flag("keyto", &[Subcommand::Copy], Text(|o| &mut o.keyto), "key to copy it to"),
    flag('c', "chmod", &[], Mode(|o| &mut o.chmod), "mode of the file (0640)"),
    flag('z', "compress", &[], Switch(|o| &mut o.compress), "compress what is uploaded"),
    flag('C', "config", &[], Text(|o| &mut o.config), "file with options, in YAML, which win"),
    flag('a', "datadog_api_key", &[], Text(|o| &mut o.datadog_api_key), "with -A: send events, too"),
    flag('A', "datadog_app_key", &[], Text(|o| &mut o.datadog_app_key), "with -a: send events, too"),
    flag('d', "dogstatsd", &[], Switch(|o| &mut o.dogstatsd), "send metrics to dogstatsd"),
    flag('D', "dogstatsd_address", &[], Text(|o| &mut o.dogstatsd_address), "where it is (localhost:8125)"),
    flag('e', "exec", &[], Text(|o| &mut o.exec), "command to run afterwards: words, no quotes"),
    flag('l', "length", &[], Number(|o| &mut o.length), "refuse a document of fewer lines (10)"),
    flag('o', "owner", &[], Text(|o| &mut o.owner), "user to own the file, with its group (this one)"),
    flag('p', "prefix", &[], Text(|o| &mut o.prefix), "folder of all keys in the KV store (kvexpress)"),
    flag('s', "server", &[], Text(|o| &mut o.server), "address of Consul (localhost:8500)"),
    flag('t', "token", &[], Text(|o| &mut o.token), "ACL token, for all to see in ps"),
    long_flag("verbose", &[], Switch(|o| &mut o.verbose), "log to stdout, unchanged files and retries included"),
];
