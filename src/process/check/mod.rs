//! The command that must accept a document before it is installed. It knows only the staged file.

mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use self::words::{contains, filled, has_path_in_a_script, has_placeholder};
use crate::error::{Result, Status};
use crate::process::output::ChildOutput;
use crate::process::program::{Program, Variables};
use crate::process::{self, Exit, ExitKind, Leftovers};
use crate::telemetry::log::Logger;
use crate::util::time::Deadline;

/// The environment variable with the path of the staged file.
const STAGED: &str = "KVX_STAGED";

/// A command that rejects a document by exiting with a status other than 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check(Program);

impl Check {
    /// Parses a command that names the staged file: by `{}`, alone or inside a word, or by KVX_STAGED.
    ///
    /// # Errors
    /// What is wrong with the command, to be printed after the name of the option.
    pub fn parse(words: &str) -> std::result::Result<Check, &'static str> {
        let program = Program::parse(words)?;
        if has_path_in_a_script(&program.words().map(OsStr::as_bytes).collect::<Vec<_>>()) {
            return Err(
                "has {} inside a script, where a path could become a command; write sh -c 'test -s \"$1\"' sh {} (and {{}} for a literal {})",
            );
        }
        let is_shown = |word: &[u8]| has_placeholder(word) || contains(word, STAGED.as_bytes());
        if program.words().skip(1).map(OsStr::as_bytes).any(is_shown) {
            Ok(Check(program))
        } else {
            Err("does not name {}, which stands for the file to be checked")
        }
    }

    /// Runs the check on the staged file, and waits for its result until the deadline. Its output goes to `logger`.
    ///
    /// # Errors
    /// 65 if the check rejects the document, cannot be started or does not end in time; 75 if a signal interrupts it.
    pub fn approve(&self, staged: &Path, variables: &Variables, deadline: Deadline, logger: &Logger) -> Result<()> {
        let Some(program) = self.with_path(staged) else { return Ok(()) };
        let within = humantime::format_duration(deadline.limit());
        let refused =
            |why: String| Err(Status::Refused.error(format!("the check `{program}` {why}; file left unchanged")));
        let mut command = program.command(variables);
        command.env(STAGED, staged);
        // A process that it left behind could change the file after the check accepted it.
        match process::run_logged(command, ChildOutput::new("check", logger), Leftovers::Kill, deadline.left()) {
            Ok(Exit { interrupted: Some(signal), .. }) => Err(Status::TryAgain.error(format!(
                "interrupted by {signal} during the check `{program}`; file left unchanged; run it again"
            ))),
            Ok(Exit { kind, .. }) => match kind {
                ExitKind::Exited(status) if status.success() => Ok(()),
                ExitKind::Exited(status) => refused(format!("rejected the document ({status})")),
                ExitKind::Unkillable => refused("took too long and could not be killed".into()),
                ExitKind::Unsupervised(cause) => refused(format!("could not be watched ({cause}) and was killed")),
                ExitKind::TooSlow | ExitKind::TooMuch | ExitKind::OutputOpen => {
                    refused(format!("did not end within the time limit of the run ({within}); --timeout allows more"))
                }
            },
            Err(cause) => refused(format!("could not be run: {cause}")),
        }
    }

    /// The program, with the path of the staged file in place of `{}`.
    fn with_path(&self, staged: &Path) -> Option<Program> {
        let path = staged.as_os_str().as_bytes();
        let words = self.0.words().enumerate().map(|(at, word)| match at {
            0 => word.to_owned(),
            _ => OsString::from_vec(filled(word.as_bytes(), path)),
        });
        Program::new(words.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Check, Program};

    #[test]
    fn the_staged_file_is_named_wherever_braces_stand() {
        let check = Check::parse("nginx -t -c {} --copy={}.x '{}' \"{ }\" {").ok();
        let path = "/etc/.a b.kvx~";
        let shown = check.and_then(|check| check.with_path(Path::new(path)));
        let shown: Vec<_> = shown.iter().flat_map(Program::words).collect();
        assert_eq!(shown, ["nginx", "-t", "-c", path, "--copy=/etc/.a b.kvx~.x", path, "{ }", "{"]);
    }

    #[test]
    fn braces_may_be_meant_as_such() {
        let shown = |words: &str| -> Vec<std::ffi::OsString> {
            let shown = Check::parse(words).ok().and_then(|check| check.with_path(Path::new("P")));
            shown.iter().flat_map(Program::words).map(ToOwned::to_owned).collect()
        };
        assert_eq!(shown("a {{}} {} {{}}{}{ {{{}}}"), ["a", "{}", "P", "{}P{", "{{}}"]);
        // The shell finds the path in its environment.
        assert_eq!(shown("sh -c 'test -s \"$KVX_STAGED\"'"), ["sh", "-c", "test -s \"$KVX_STAGED\""]);
        assert_eq!(shown("env -u X find KVX_STAGED"), ["env", "-u", "X", "find", "KVX_STAGED"]);
    }

    #[test]
    fn a_path_is_never_part_of_a_script() {
        let scripts = [
            "sh -c 'test -s {}'",
            "bash -ec 'x {}' sh",
            "sh -c {}",
            "/bin/sh -c {}",
            "sudo -u x sh -c {}",
            "sh -e -c {}",
            "bash -c -e {}",
            "bash -o pipefail -c {}",
            "bash -c -o pipefail {}",
            "bash --rcfile x -c {}",
            "fish --command={}",
            "fish --command {}",
            "env A=b timeout 3 dash -ec x={}",
            "busybox sh -c {}",
            "su -c {}",
            "su - x -c {}",
            "su x -c{}",
            "su --session-command={} x",
            "runuser -u x -- sh -c {}",
            "awk '{} END {}' {}",
            "python3 -c 'open(\"{}\")'",
            "perl -e 'x(q{{}})' '{}!'",
            "env -S 'sh -c x' 'a\t{}'",
            "x '`{}'",
            "sh -c -- {}",
        ];
        for words in scripts {
            let is_wrong = Check::parse(words).err();
            assert!(is_wrong.is_some_and(|wrong| wrong.contains("inside a script")), "{words}: {is_wrong:?}");
        }
        let paths = [
            "nginx -t -c {}",
            "named-checkconf {}",
            "sh -c 'test -s \"$1\"' sh {}",
            "sh {}",
            "sh -e {}",
            "bash check.sh -c {}",
            "bash -o pipefail check.sh {}",
            "a --copy={}.x",
            "a @{}",
            "a {}:/etc/x",
            "grep -c sh {}",
            "su x -c 'cat \"$1\"' sh {}",
            "awk '{{}} END {exit NR<1}' {}",
            "runuser -u x -- nginx -c {}",
            "visudo -cf {}",
            "a [{}]",
            "ssh-keygen -c {}",
        ];
        for words in paths {
            assert_eq!(Check::parse(words).err(), None, "{words}");
        }
    }

    #[test]
    fn a_check_that_does_not_name_the_staged_file_is_rejected() {
        for words in ["", "true", "sh -c true", "{}", "{ }", "true {", "true '{}"] {
            assert!(Check::parse(words).is_err(), "{words}");
        }
    }
}
