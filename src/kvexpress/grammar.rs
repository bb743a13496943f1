//! Parses kvexpress's command lines by the grammar of its library (cobra and pflag): `-k hosts`, `-khosts`, `-k=hosts`,
//! `--key hosts`, `--key=hosts`, `-Sz`, `-z=true`, and flags in any place. Pure.

use std::ffi::OsString;

use super::flags::{FLAGS, Flag, Flags};
use super::subcommand::Subcommand;
use crate::error::{Result, Status};

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Invocation {
    /// To run a command. The words do not belong to a flag; kvexpress ignores them, too.
    Run(Subcommand, Box<Flags>, Vec<String>),
    /// `--help`, of the program or of a command; or an empty command line.
    Help(Option<Subcommand>),
    /// `--version`.
    Version,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// 64.
pub fn parse(arguments: Vec<OsString>) -> Result<Invocation> {
    read(arguments).map_err(|what| Status::Usage.error(what))
}

/// The flags and the other words of the command line, in order.
#[derive(Default)]
struct Typed {
    flags: Vec<(&'static Flag, String)>,
    words: Vec<String>,
    help: bool,
    version: bool,
}

fn read(arguments: Vec<OsString>) -> std::result::Result<Invocation, String> {
    if arguments.is_empty() {
        return Ok(Invocation::Help(None)); // As kvexpress: scripts run it without arguments to see whether it is installed.
    }
    let Typed { flags, words, help, version } = split(arguments)?;
    let mut words = words.into_iter();
    let named = words.next();
    let (named, help) = match named.as_deref() {
        Some("help") => (words.next(), true),
        _ => (named, help),
    };
    if version {
        return Ok(Invocation::Version);
    }
    let command = named.as_deref().map(command).transpose()?;
    let command = match command {
        command if help => return Ok(Invocation::Help(command)),
        Some(command) => command,
        None => return Err("a command is missing".into()),
    };
    let mut options = Flags::default();
    for (flag, value) in flags {
        if !FLAGS.iter().any(|known| known.long == flag.long && known.is_of(command)) {
            return Err(format!("{} has no --{}", command.name(), flag.long));
        }
        flag.set(&mut options, value)?; // A later flag overrides an earlier one.
    }
    Ok(Invocation::Run(command, Box::new(options), words.collect()))
}

fn command(name: &str) -> std::result::Result<Subcommand, String> {
    let known = Subcommand::ALL.into_iter().find(|command| command.name() == name);
    known.ok_or_else(|| format!("\"{name}\" is not a command"))
}

fn split(arguments: Vec<OsString>) -> std::result::Result<Typed, String> {
    let mut typed = Typed::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        let mut next = || arguments.next().map(text).transpose();
        if argument == "--" {
            typed.words.extend(arguments.by_ref().map(text).collect::<std::result::Result<Vec<_>, _>>()?);
        } else if let Some(long) = argument.strip_prefix("--") {
            typed.long(long, &mut next)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            typed.cluster(letters, &mut next)?;
        } else {
            typed.words.push(argument);
        }
    }
    Ok(typed)
}

type Next<'a> = &'a mut dyn FnMut() -> std::result::Result<Option<String>, String>;

impl Typed {
    fn long(&mut self, long: &str, next: Next) -> std::result::Result<(), String> {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        match (name, value) {
            ("help", None) => self.help = true,
            ("version", None) => self.version = true,
            (name, value) => {
                let flag =
                    FLAGS.iter().find(|flag| flag.long == name).ok_or_else(|| format!("--{name} is not a flag"))?;
                let value = match value {
                    None if flag.is_switch() => "true".into(),
                    None => next()?.ok_or_else(|| format!("--{name} needs a value"))?,
                    Some(value) => value,
                };
                self.flags.push((flag, value));
            }
        }
        Ok(())
    }

    /// `-Szl2` is `-S -z -l 2`, and `-Sz=false` is `-S -z=false`.
    fn cluster(&mut self, letters: &str, next: Next) -> std::result::Result<(), String> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'h' => self.help = true,
                'v' => self.version = true,
                letter => {
                    let flag = FLAGS.iter().find(|flag| flag.short == Some(letter));
                    let flag = flag.ok_or_else(|| format!("-{letter} is not a flag"))?;
                    let rest = letters.as_str();
                    let value = match rest.strip_prefix('=') {
                        Some(value) => value.to_owned(),
                        None if flag.is_switch() => {
                            self.flags.push((flag, "true".into()));
                            continue;
                        }
                        None if rest.is_empty() => next()?.ok_or_else(|| format!("-{letter} needs a value"))?,
                        None => rest.to_owned(),
                    };
                    self.flags.push((flag, value));
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn text(argument: OsString) -> std::result::Result<String, String> {
    argument.into_string().map_err(|raw| format!("\"{}\" is not UTF-8", raw.to_string_lossy()))
}
