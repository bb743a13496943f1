//! Which command lines may be run again by another program, at another time.

use std::ffi::OsString;

/// A command line that is longer is not recorded.
const LONGEST_COMMAND: usize = 16 * 1024;

/// A program that is found by PATH or by a whole path: the same for everybody, wherever he is.
pub fn to_be_kept(words: &[OsString]) -> Option<Vec<String>> {
    let words: Vec<String> = words.iter().map(|word| word.to_str().map(str::to_owned)).collect::<Option<_>>()?;
    let program = words.first()?;
    let is_short = words.iter().map(String::len).sum::<usize>() <= LONGEST_COMMAND;
    (is_short && (program.starts_with('/') || !program.contains('/'))).then_some(words)
}
