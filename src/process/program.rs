//! Somebody's program, as it is named on the command line: words, no shell. And what it finds in its environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// Consul's credentials, the mark by which a watch's handler is known, and our own variables, which may be those of a run
/// around this one.
const NOT_PASSED_ON: [&str; 8] = [
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "CONSUL_HTTP_AUTH",
    "CONSUL_INDEX",
    "KVX_KEY",
    "KVX_FILE",
    "KVX_CHECKSUM",
    "KVX_STAGED",
];

/// Where it runs: nobody else can have put a file there that its words name.
const DIRECTORY: &str = "/";

/// What a shell takes for more than itself, unless it is quoted.
const OF_A_SHELL: &str = ";|&<>$`";

/// As a first word, only a shell understands these: its keywords, and its builtins that do nothing in a process of their own.
const SHELL_WORDS: [&str; 39] = [
    "!", ".", ":", "[[", "alias", "bg", "builtin", "case", "cd", "declare", "do", "eval", "exec", "exit", "export",
    "fg", "for", "function", "hash", "if", "let", "local", "read", "readonly", "return", "select", "set", "shift",
    "source", "then", "trap", "type", "typeset", "ulimit", "umask", "unset", "until", "while", "{",
];

const WANTS_A_SHELL: &str =
    "is run without a shell, which `&&`, `|`, `;`, `>` or `$` would need; write sh -c '...', or quote it";

/// What a program is run for, and finds in its environment.
pub type Variables = [(&'static str, OsString)];

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// From an argv, as it is; none where it is empty.
    pub fn new(argv: Vec<OsString>) -> Option<Program> {
        let mut argv = argv.into_iter();
        Some(Program { name: argv.next()?, arguments: argv.collect() })
    }

    /// From an argv.
    ///
    /// # Errors
    /// What is wrong with it, after the name of the option: it is empty, or can never be run.
    pub fn checked(argv: Vec<OsString>) -> Result<Program, &'static str> {
        let program = Program::new(argv).ok_or("names no program")?;
        match never_runs(program.name.as_bytes()) {
            Some(wrong) => Err(wrong),
            None => Ok(program),
        }
    }

    /// From `words and "quotes"`, split as a shell would.
    ///
    /// # Errors
    /// What is wrong with them, after the name of the option. That is also what only a shell would understand.
    pub fn parse(words: &str) -> Result<Program, &'static str> {
        let argv = shell_words::split(words).map_err(|_| "has a quote that does not end")?;
        match wants_a_shell(words.trim()) {
            Some('\n') => {
                return Err(
                    "is one command, and newlines separate commands for a shell; write sh -c '...', or quote it",
                );
            }
            Some(_) => return Err(WANTS_A_SHELL),
            None => {}
        }
        Program::checked(argv.into_iter().map(OsString::from).collect())
    }

    /// Its argv.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.name.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str))
    }

    /// Ready to be run in `/`, with these variables added to its environment and no credentials in it, and nothing on stdin.
    pub fn command(&self, variables: &Variables) -> Command {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).current_dir(DIRECTORY).stdin(Stdio::null());
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Why a program of this name is never found, wherever this runs.
fn never_runs(name: &[u8]) -> Option<&'static str> {
    let is_in_a_variable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let variable = name.iter().position(|byte| !is_in_a_variable(byte)).map(|at| name.split_at(at));
    if matches!(variable, Some(([b'A'..=b'Z' | b'a'..=b'z' | b'_', ..], [b'=', ..] | [b'+', b'=', ..]))) {
        Some("begins with an assignment, which only a shell understands; write env NAME=value COMMAND")
    } else if name.starts_with(b"~") {
        Some("names its program by ~, which only a shell understands; write the whole path")
    } else if name.starts_with(b"(") || SHELL_WORDS.iter().any(|word| word.as_bytes() == name) {
        Some("begins with a word that only a shell understands; write sh -c '...'")
    } else if name.contains(&b'/') && !name.starts_with(b"/") {
        Some("names its program by a relative path, but is run in /; write the whole path")
    } else {
        None
    }
}

/// The first character that would mean something to a shell where it stands.
fn wants_a_shell(words: &str) -> Option<char> {
    let mut quote = None;
    let mut begins_word = true;
    let mut characters = words.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            // A comment, until the end of the line.
            (None, '#') if begins_word => return characters.find(|&character| character == '\n'),
            (None, special) if OF_A_SHELL.contains(special) || special == '\n' => return Some(special),
            _ => {}
        }
        begins_word = quote.is_none() && character.is_whitespace();
    }
    None
}

/// As a shell would take it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words().map(OsStr::to_string_lossy).collect();
        f.write_str(&shell_words::join(words))
    }
}

#[cfg(test)]
mod tests {
    use super::Program;

    #[test]
    fn what_only_a_shell_understands_is_told_from_programs() {
        let only_a_shell = [
            "a && b",
            "a\nb",
            "a # c\nb",
            "a #'c\nb",
            "A=b c",
            "_a1+=b c",
            "~/x",
            "~root/x",
            "(x)",
            "'(x)'",
            "! x",
            "cd /x",
            ". /x",
            "for",
            "./x",
            "bin/x",
            "../x",
            "'a\nb' c\nd",
            "a=",
        ];
        for words in only_a_shell {
            assert!(Program::parse(words).is_err(), "{words:?}");
        }
        let programs = [
            "a\n",
            "\n a b",
            "a \\\n b",
            "a 'b\nc'",
            "a \"b\nc\"",
            "/a=b c",
            "1=b",
            "-=b",
            "a A=b",
            "time a",
            "/x/cd",
            "a ! (",
            "a#b",
            "a # c",
            "env A=b c",
            "a ~/x",
            "a ./x",
        ];
        for words in programs {
            assert_eq!(Program::parse(words).err(), None, "{words:?}");
        }
    }
}
