//! The command that has to approve of a document before it is put in its place. Knows no file but the one it is shown.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::{Result, Status};
use crate::excerpt::Excerpt;
use crate::journal::Journal;
use crate::process::{self, End, Ended, Leftovers};
use crate::program::{Program, Variables};
use crate::time::Deadline;

/// In the command, what stands for the path of the staged file.
const STAGED: &[u8] = b"{}";

/// A command that refuses a document by a status other than 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check(Program);

impl Check {
    /// A command that names `{}`, alone or inside of a word.
    ///
    /// # Errors
    /// What is wrong with it, after the name of the option.
    pub fn parse(words: &str) -> std::result::Result<Check, &'static str> {
        let program = Program::parse(words)?;
        if program.words().skip(1).any(|word| pieces(word.as_bytes()).len() > 1) {
            Ok(Check(program))
        } else {
            Err("does not name {}, which stands for the file to be checked")
        }
    }

    /// Shows it the staged file, and waits for its verdict until the deadline. Its output goes into the journal.
    ///
    /// # Errors
    /// 65 where it refuses, or gives no verdict; 75 where it was told to end before it did.
    pub fn approve(&self, staged: &Path, variables: &Variables, deadline: Deadline, journal: &Journal) -> Result<()> {
        let Some(program) = self.shown(staged) else { return Ok(()) };
        let within = humantime::format_duration(deadline.limit());
        let refused =
            |how: String| Err(Status::Refused.error(format!("the check `{program}` {how}; the file stays as it was")));
        // Whatever it leaves behind could change the file after its verdict.
        match process::work(program.command(variables), Excerpt::of("check", journal), Leftovers::Go, deadline.left()) {
            Ok(Ended { told: Some(signal), .. }) => Err(Status::TryAgain.error(format!(
                "told to end ({signal}) during the check `{program}`; the file stays as it was, run it again"
            ))),
            Ok(Ended { how, .. }) => match how {
                End::Exited(status) if status.success() => Ok(()),
                End::Exited(status) => refused(format!("refuses the document ({status})")),
                End::Left => refused("took too long and could not even be killed".into()),
                End::Lost(cause) => refused(format!("could not be watched ({cause}) and was killed")),
                End::TooSlow | End::TooMuch | End::NotAll => {
                    refused(format!("had not ended when the time was over ({within}); --timeout allows more"))
                }
            },
            Err(cause) => refused(format!("could not be run: {cause}; it must be there, and executable for this user")),
        }
    }

    /// The program with the path of the staged file in its place.
    fn shown(&self, staged: &Path) -> Option<Program> {
        let path = staged.as_os_str().as_bytes();
        let words = self.0.words().enumerate().map(|(at, word)| match at {
            0 => word.to_owned(),
            _ => OsString::from_vec(pieces(word.as_bytes()).join(path)),
        });
        Program::new(words.collect())
    }
}

/// What stands around each `{}` of a word.
fn pieces(word: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.windows(STAGED.len()).position(|window| window == STAGED) {
        let (piece, from) = rest.split_at(at);
        pieces.push(piece);
        rest = from.get(STAGED.len()..).unwrap_or_default();
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Check, Program};

    #[test]
    fn the_staged_file_is_named_wherever_braces_stand() {
        let check = Check::parse("nginx -t -c {} --copy={}.x '{}' \"{ }\" {").ok();
        let path = "/etc/.a b.kvx~";
        let shown = check.and_then(|check| check.shown(Path::new(path)));
        let shown: Vec<_> = shown.iter().flat_map(Program::words).collect();
        assert_eq!(shown, ["nginx", "-t", "-c", path, "--copy=/etc/.a b.kvx~.x", path, "{ }", "{"]);
    }

    #[test]
    fn a_check_that_is_shown_nothing_is_none() {
        for words in ["", "true", "sh -c true", "{}", "{ }", "true {", "true '{}"] {
            assert!(Check::parse(words).is_err(), "{words}");
        }
    }
}
