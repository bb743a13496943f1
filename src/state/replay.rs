//! Command lines that can be run again later, by `kvx unlock --run`.

use std::ffi::OsString;

/// The maximum length of a recorded command line, in bytes.
const MAX_COMMAND: usize = 16 * 1024;

/// The command line, if it can be recorded. Its program must be found by PATH or be an absolute path, so that it is the
/// same program from any working directory.
pub fn replayable(words: &[OsString]) -> Option<Vec<String>> {
    let words: Vec<String> = words.iter().map(|word| word.to_str().map(str::to_owned)).collect::<Option<_>>()?;
    let program = words.first()?;
    let is_short = words.iter().map(String::len).sum::<usize>() <= MAX_COMMAND;
    (is_short && (program.starts_with('/') || !program.contains('/'))).then_some(words)
}
