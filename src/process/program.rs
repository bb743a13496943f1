//! A program as it is named on the command line (words, no shell), and its environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// Variables that a program does not get: Consul's credentials; CONSUL_INDEX, by which kvx recognises that a watch
/// started it; and kvx's own variables, which may come from an outer run.
const REMOVED_VARIABLES: [&str; 8] = [
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "CONSUL_HTTP_AUTH",
    "CONSUL_INDEX",
    "KVX_KEY",
    "KVX_FILE",
    "KVX_CHECKSUM",
    "KVX_STAGED",
];

/// The working directory of a program. Only root can put a file there that a relative path on the command line would
/// name.
const WORKING_DIRECTORY: &str = "/";

/// Characters that have a meaning to a shell unless they are quoted.
const SHELL_CHARACTERS: &str = ";|&<>$`";

/// First words that only a shell understands: its keywords, and those of its builtins that have no effect in a separate
/// process.
const SHELL_WORDS: [&str; 39] = [
    "!", ".", ":", "[[", "alias", "bg", "builtin", "case", "cd", "declare", "do", "eval", "exec", "exit", "export",
    "fg", "for", "function", "hash", "if", "let", "local", "read", "readonly", "return", "select", "set", "shift",
    "source", "then", "trap", "type", "typeset", "ulimit", "umask", "unset", "until", "while", "{",
];

const NEEDS_A_SHELL: &str =
    "is run without a shell, which `&&`, `|`, `;`, `>` or `$` would need; write sh -c '...', or quote it";

/// The variables that kvx adds to a program's environment.
pub type Variables = [(&'static str, OsString)];

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// A program from an argv; none if the argv is empty.
    pub fn new(argv: Vec<OsString>) -> Option<Program> {
        let mut argv = argv.into_iter();
        Some(Program { name: argv.next()?, arguments: argv.collect() })
    }

    /// A program from an argv that can be run.
    ///
    /// # Errors
    /// What is wrong with the argv, to be printed after the name of the option: it is empty, or it can never be run.
    pub fn checked(argv: Vec<OsString>) -> Result<Program, &'static str> {
        let program = Program::new(argv).ok_or("names no program")?;
        match never_runs(program.name.as_bytes()) {
            Some(wrong) => Err(wrong),
            None => Ok(program),
        }
    }

    /// A program from `words and "quotes"`, split as a shell splits them.
    ///
    /// # Errors
    /// What is wrong with the words, to be printed after the name of the option. Words that only a shell understands
    /// are an error.
    pub fn parse(words: &str) -> Result<Program, &'static str> {
        let argv = shell_words::split(words).map_err(|_| "has an unterminated quote")?;
        match shell_character(words.trim()) {
            Some('\n') => {
                return Err(
                    "is one command, and newlines separate commands for a shell; write sh -c '...', or quote it",
                );
            }
            Some(_) => return Err(NEEDS_A_SHELL),
            None => {}
        }
        Program::checked(argv.into_iter().map(OsString::from).collect())
    }

    /// The program's argv.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.name.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str))
    }

    /// A command that runs in `/` with an empty stdin, without credentials and with these variables in its environment.
    pub fn command(&self, variables: &Variables) -> Command {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).current_dir(WORKING_DIRECTORY).stdin(Stdio::null());
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Why a program with this name can never be found, on any machine.
fn never_runs(name: &[u8]) -> Option<&'static str> {
    let is_in_a_variable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let variable = name.iter().position(|byte| !is_in_a_variable(byte)).map(|at| name.split_at(at));
    if matches!(variable, Some(([b'A'..=b'Z' | b'a'..=b'z' | b'_', ..], [b'=', ..] | [b'+', b'=', ..]))) {
        Some("begins with an assignment, which only a shell understands; write env NAME=value COMMAND")
    } else if name.starts_with(b"~") {
        Some("names its program by ~, which only a shell understands; give its full path")
    } else if name.starts_with(b"(") || SHELL_WORDS.iter().any(|word| word.as_bytes() == name) {
        Some("begins with a word that only a shell understands; write sh -c '...'")
    } else if name.contains(&b'/') && !name.starts_with(b"/") {
        Some("names its program by a relative path, but is run in /; give its full path")
    } else {
        None
    }
}

/// The first unquoted character that has a meaning to a shell.
fn shell_character(words: &str) -> Option<char> {
    let mut quote = None;
    let mut begins_word = true;
    let mut characters = words.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            // A comment ends with the line.
            (None, '#') if begins_word => return characters.find(|&character| character == '\n'),
            (None, special) if SHELL_CHARACTERS.contains(special) || special == '\n' => return Some(special),
            _ => {}
        }
        begins_word = quote.is_none() && character.is_whitespace();
    }
    None
}

/// Quoted for a shell.
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
    fn words_that_only_a_shell_understands_are_rejected() {
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
