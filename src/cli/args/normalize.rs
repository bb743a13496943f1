//! Normalizes options. Users write `-k hosts`, `-khosts`, `--key hosts`, `--key=hosts` or `-vk hosts`. argh only parses
//! the first and the third form; this rewrites the others, and leaves everything else to argh. No I/O.

use std::ffi::OsString;

use argh::{FlagInfo, FlagInfoKind};

/// Options with an optional value, which must follow `=`: the next word is never their value.
pub const VALUE_IS_OPTIONAL: [&str; 1] = ["dogstatsd"];

/// Splits at the first `--`. The words after it are a command, and are not parsed.
pub fn split(mut arguments: Vec<OsString>) -> (Vec<OsString>, Option<Vec<OsString>>) {
    match arguments.iter().position(|argument| argument == "--") {
        Some(at) => {
            let command = arguments.split_off(at).into_iter().skip(1).collect();
            (arguments, Some(command))
        }
        None => (arguments, None),
    }
}

/// Rewrites the options into the forms that argh parses.
pub fn normalize(arguments: Vec<OsString>, flags: &[FlagInfo]) -> Result<Vec<String>, String> {
    let mut words = Vec::with_capacity(arguments.len());
    let mut dashes = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        let takes_value = if let Some(long) = argument.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, value)) => {
                    if !takes_value(flags, |flag| flag.long.strip_prefix("--") == Some(name)) {
                        return Err(format!("--{name} takes no value, or is not an option"));
                    }
                    words.extend([format!("--{name}"), value.to_owned()]);
                    continue;
                }
                None => {
                    words.push(argument.clone());
                    if VALUE_IS_OPTIONAL.contains(&long) {
                        words.push(String::new());
                        if let Some(next) = arguments.as_slice().first().filter(|next| looks_like_a_value(next)) {
                            return Err(format!("write --{long}={}", next.to_string_lossy()));
                        }
                        continue;
                    }
                    takes_value(flags, |flag| flag.long.strip_prefix("--") == Some(long))
                }
            }
        } else if argument == "-" {
            dashes.push(argument);
            false
        } else if argument.starts_with('-') {
            cluster(&argument, flags, &mut words)
        } else {
            words.push(argument);
            false
        };
        if takes_value {
            // The next word is the value, even if it looks like an option.
            words.extend(arguments.next().map(text).transpose()?);
        }
    }
    // argh parses `-` as an option unless it follows `--`.
    if !dashes.is_empty() {
        words.push("--".into());
        words.append(&mut dashes);
    }
    Ok(words)
}

/// Whether a word after an option with an optional value seems to be its value. No command has both such an option and
/// positional arguments.
fn looks_like_a_value(word: &OsString) -> bool {
    !word.as_encoded_bytes().starts_with(b"-")
}

/// Splits `-vl10` into `-v -l 10`. Returns whether the next argument is the value of the last option.
fn cluster(argument: &str, flags: &[FlagInfo], words: &mut Vec<String>) -> bool {
    let mut letters = argument.trim_start_matches('-').chars();
    while let Some(letter) = letters.next() {
        words.push(format!("-{letter}"));
        if takes_value(flags, |flag| flag.short == Some(letter)) {
            let attached = letters.as_str();
            let attached = attached.strip_prefix('=').unwrap_or(attached);
            if attached.is_empty() {
                return true;
            }
            words.push(attached.to_owned());
            return false;
        }
    }
    false
}

fn takes_value(flags: &[FlagInfo], matches: impl Fn(&FlagInfo) -> bool) -> bool {
    flags.iter().any(|flag| matches(flag) && matches!(flag.kind, FlagInfoKind::Option { .. }))
}

fn text(argument: OsString) -> Result<String, String> {
    argument
        .into_string()
        .map_err(|raw| format!("\"{}\" is not UTF-8, and only behind -- may be so", raw.to_string_lossy()))
}
