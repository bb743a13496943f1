//! Somebody's program, as it is named on the command line: words, no shell. And what it finds in its environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, Stdio};

/// Consul's credentials, and the mark by which a watch's handler is known: none of the program's business.
const NOT_PASSED_ON: [&str; 4] = ["CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "CONSUL_HTTP_AUTH", "CONSUL_INDEX"];

/// What a shell takes for more than itself, unless it is quoted.
const OF_A_SHELL: &str = ";|&<>$`";

/// What a program is run for, and finds in its environment.
pub type Variables = [(&'static str, OsString)];

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// From an argv; none where it is empty.
    pub fn new(argv: Vec<OsString>) -> Option<Program> {
        let mut argv = argv.into_iter();
        Some(Program { name: argv.next()?, arguments: argv.collect() })
    }

    /// From `words and "quotes"`, split as a shell would.
    ///
    /// # Errors
    /// What is wrong with them, after the name of the option. That is also what only a shell would understand.
    pub fn parse(words: &str) -> Result<Program, &'static str> {
        let argv = shell_words::split(words).map_err(|_| "has a quote that does not end")?;
        if wants_a_shell(words) {
            return Err(
                "is run without a shell, which `&&`, `|`, `;`, `>` or `$` would need; write sh -c '...', or quote it",
            );
        }
        Program::new(argv.into_iter().map(OsString::from).collect()).ok_or("names no program")
    }

    /// Its argv.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.name.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str))
    }

    /// Ready to be run, with these variables added to its environment and no credentials in it, and nothing on stdin.
    pub fn command(&self, variables: &Variables) -> Command {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).stdin(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command
    }
}

/// Whether something in it would mean something to a shell.
fn wants_a_shell(words: &str) -> bool {
    let mut quote = None;
    let mut characters = words.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, special) if OF_A_SHELL.contains(special) => return true,
            _ => {}
        }
    }
    false
}

/// As a shell would take it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words().map(OsStr::to_string_lossy).collect();
        f.write_str(&shell_words::join(words))
    }
}
