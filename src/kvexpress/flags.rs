//! kvexpress's flags: one table, for parsing and for the help.

use super::numbers;
use super::subcommand::Subcommand;
use crate::util::strconv;

/// The values of the flags. As in kvexpress, an empty text means that the flag is not given.
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
    /// Whether the command line contains a secret, even in a flag that a later one overrides.
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

/// A flag of every command, or of some.
pub(super) struct Flag {
    pub short: Option<char>,
    pub long: &'static str,
    /// The commands that have it; empty: every command.
    of: &'static [Subcommand],
    pub takes: Takes,
    pub about: &'static str,
}

/// The type of a flag's value, and the field that it sets.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Text(fn(&mut Flags) -> &mut String),
    Number(fn(&mut Flags) -> &mut i64),
    Mode(fn(&mut Flags) -> &mut u32),
    /// True without a value; a value needs `=`.
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

    /// Whether this value of the flag is a secret.
    fn is_secret(&self, value: &str) -> bool {
        match self.long {
            "token" => !matches!(value, "" | "anonymous"),
            "datadog_api_key" | "datadog_app_key" => !value.is_empty(),
            _ => false,
        }
    }

    /// Sets the field, or returns what is wrong with the value.
    pub fn set(&self, options: &mut Flags, value: String) -> Result<(), String> {
        // The message does not print the value: it may be a token, if the flag's own value was left out.
        let invalid =
            |what: &str, example: &str| format!("--{}: its value is not a {what}; write {example}", self.long);
        options.holds_secret |= self.is_secret(&value);
        match self.takes {
            Text(text) => *text(options) = value,
            Number(number) => {
                *number(options) = strconv::integer(&value).ok_or_else(|| invalid("number", "one such as 10"))?;
            }
            Mode(mode) => {
                *mode(options) = numbers::mode(&value).ok_or_else(|| invalid("mode", "it in octal, such as 0644"))?;
            }
            Switch(switch) => {
                *switch(options) = strconv::boolean(&value).ok_or_else(|| invalid("switch", "true or false"))?;
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

/// A flag's letter and name have the same meaning and type in every command.
pub(super) static FLAGS: &[Flag] = &[
    flag(
        'k',
        "key",
        &[Subcommand::In, Subcommand::Out, Subcommand::Stop],
        Text(|o| &mut o.key),
        "name of the document in Consul, such as hosts",
    ),
    flag('k', "key", &[Subcommand::Raw], Text(|o| &mut o.key), "full path in the KV store"),
    flag('f', "file", &[Subcommand::In], Text(|o| &mut o.file), "file to upload"),
    flag('f', "file", &[Subcommand::Out, Subcommand::Raw], Text(|o| &mut o.file), "file to install"),
    flag('f', "file", &[Subcommand::Lock, Subcommand::Unlock], Text(|o| &mut o.file), "the file, by its absolute path"),
    flag('f', "file", &[Subcommand::Clean], Text(|o| &mut o.file), "file to remove, with its .compare and .last"),
    flag('u', "url", &[Subcommand::In], Text(|o| &mut o.url), "upload the document at this URL"),
    flag('S', "sorted", &[Subcommand::In], Switch(|o| &mut o.sorted), "sort the lines, and drop the blank ones"),
    long_flag(
        "ignore_stop",
        &[Subcommand::Out],
        Switch(|o| &mut o.ignore_stop),
        "install the document even if the key is stopped",
    ),
    flag('r', "reason", &[Subcommand::Stop, Subcommand::Lock], Text(|o| &mut o.reason), "reason of the stop or lock"),
    long_flag("keyfrom", &[Subcommand::Copy], Text(|o| &mut o.keyfrom), "key to copy"),
    long_flag("keyto", &[Subcommand::Copy], Text(|o| &mut o.keyto), "key to copy it to"),
    flag('c', "chmod", &[], Mode(|o| &mut o.chmod), "mode of the file [default: 0640]"),
    flag('z', "compress", &[], Switch(|o| &mut o.compress), "compress the uploaded document"),
    flag('C', "config", &[], Text(|o| &mut o.config), "YAML file with options, which override flags"),
    flag('a', "datadog_api_key", &[], Text(|o| &mut o.datadog_api_key), "with -A: also send events"),
    flag('A', "datadog_app_key", &[], Text(|o| &mut o.datadog_app_key), "with -a: also send events"),
    flag('d', "dogstatsd", &[], Switch(|o| &mut o.dogstatsd), "send metrics to dogstatsd"),
    flag(
        'D',
        "dogstatsd_address",
        &[],
        Text(|o| &mut o.dogstatsd_address),
        "address of dogstatsd [default: localhost:8125]",
    ),
    flag('e', "exec", &[], Text(|o| &mut o.exec), "command to run afterwards, split at blanks"),
    flag('l', "length", &[], Number(|o| &mut o.length), "minimum number of lines [default: 10]"),
    flag('o', "owner", &[], Text(|o| &mut o.owner), "owner, with its primary group [default: this user]"),
    flag('p', "prefix", &[], Text(|o| &mut o.prefix), "prefix of all keys [default: kvexpress]"),
    flag('s', "server", &[], Text(|o| &mut o.server), "address of Consul [default: localhost:8500]"),
    flag('t', "token", &[], Text(|o| &mut o.token), "ACL token; every user can see it in ps"),
    long_flag("verbose", &[], Switch(|o| &mut o.verbose), "log to stdout, also unchanged files and retries"),
];
