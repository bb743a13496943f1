//! The `--help` of a command, from tests/help/, which tests/interfaces/command_line.rs compares with the programs'
//! output.

use std::collections::BTreeSet;
use std::path::Path;

/// An option, as in `--help` and in the pages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opt {
    pub short: Option<char>,
    pub long: String,
    /// The name of its value, if it takes one.
    pub value: Option<String>,
}

/// The options of a command line: spelling, the name of the value, and whether the option is optional.
pub type Line = BTreeSet<(String, Option<String>, bool)>;

/// The `--help` of a command.
pub struct Help(String);

impl From<&str> for Help {
    fn from(text: &str) -> Help {
        Help(text.to_owned())
    }
}

impl Help {
    /// The help of a command, such as `kvx-in` or `kvx stop`. `kvx in` has the help of `kvx-in`.
    pub fn of(command: &str) -> Help {
        let file = format!("tests/help/{}.txt", command.replace(' ', "-"));
        Help(std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap())
    }

    /// The commands of kvx.
    pub fn commands() -> Vec<String> {
        let help = Help::of("kvx");
        let indented = help.0.lines().filter_map(|line| line.strip_prefix("  "));
        indented.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    /// The words of the first line (`-k`, `<key>`), each with whether it is optional.
    fn usage(&self) -> Vec<(String, bool)> {
        let words = self.0.lines().next().unwrap().split(' ');
        words.map(|word| (word.trim_matches(['[', ']']).to_owned(), word.starts_with('['))).collect()
    }

    /// The options in the first line.
    pub fn line(&self) -> Line {
        let usage = self.usage();
        let value =
            |at: usize| usage.get(at + 1).and_then(|(word, _)| Some(word.strip_prefix('<')?.trim_end_matches('>')));
        let options = usage.iter().enumerate().filter(|(_, (word, _))| word.starts_with('-') && word != "--");
        options.map(|(at, (word, may))| (word.clone(), value(at).map(str::to_owned), *may)).collect()
    }

    /// The options under `Options`.
    pub fn options(&self) -> BTreeSet<Opt> {
        let line = self.line();
        let spelt = |name: &str| line.iter().find(|(word, ..)| word == name).and_then(|(_, value, _)| value.clone());
        self.entries()
            .map(|(short, long, _)| {
                let value = short.and_then(|short| spelt(&format!("-{short}"))).or_else(|| spelt(&format!("--{long}")));
                Opt { short, long, value }
            })
            .collect()
    }

    /// The text of each option, by its long name.
    pub fn said(&self) -> Vec<(String, String)> {
        self.entries().map(|(_, long, said)| (long, said)).collect()
    }

    /// Short name, long name and text of each option.
    fn entries(&self) -> impl Iterator<Item = (Option<char>, String, String)> {
        let (_, options) = self.0.split_once("\nOptions:\n").expect("Options");
        let options = options.split("\n\n").next().unwrap();
        let mut entries: Vec<(Option<char>, String, String)> = Vec::new();
        for line in options.lines() {
            match line.strip_prefix("  -") {
                Some(option) => {
                    let (short, long) = match option.split_once(", --") {
                        Some((short, long)) => (short.chars().next(), long),
                        None => (None, option.strip_prefix('-').expect("a long option")),
                    };
                    let (long, said) = long.split_once(' ').unwrap_or((long, ""));
                    entries.push((short, long.to_owned(), said.trim().to_owned()));
                }
                None => {
                    let (_, _, said) = entries.last_mut().expect("an option");
                    *said = format!("{said} {}", line.trim());
                }
            }
        }
        entries.into_iter()
    }

    /// The exit statuses in the help.
    pub fn statuses(&self) -> BTreeSet<u8> {
        let (_, codes) = self.0.split_once("\nError codes:\n").expect("Error codes");
        codes.lines().map(|line| line.trim().split(' ').next().unwrap().parse().unwrap()).collect()
    }
}
