//! Command lines that can be run again later, by `kvx unlock --run`.

use crate::context::Context;

/// The maximum length of a recorded command line, in bytes.
const MAX_COMMAND: usize = 16 * 1024;

/// The command line of this run, if it can be recorded. The program is recorded by its name alone: the path by which it
/// was started may lead to another program later, if another user can change it (sudo passes such a path on).
pub fn replayable(context: &Context) -> Option<Vec<String>> {
    let program = context.logger.program().split(' ').next()?.to_owned();
    let arguments = context.env.arguments().iter().skip(1).map(|word| word.to_str().map(str::to_owned));
    let words: Vec<String> = [Some(program)].into_iter().chain(arguments).collect::<Option<_>>()?;
    (words.iter().map(String::len).sum::<usize>() <= MAX_COMMAND).then_some(words)
}
