use std::io::IsTerminal;
use std::process::ExitCode;

use super::kvx::exit_code;
use crate::cli::args::kvx::diff::DiffArgs;
use crate::context::{Context, print, show};
use crate::error::Result;
use crate::operator;
use crate::util::text;

/// Runs `kvx diff`.
pub(super) fn diff(options: DiffArgs, context: &Context) -> Result<ExitCode> {
    let order = options.order()?;
    let difference = operator::diff::diff(&order, context).map_err(|error| error.of(&order.key))?;
    print_difference(&difference, context)?;
    Ok(exit_code(difference.is_empty()))
}

/// Prints a diff, with colours at a terminal.
pub(super) fn print_difference(difference: &[u8], context: &Context) -> Result<()> {
    let is_coloured = std::io::stdout().is_terminal() && context.env.variable("NO_COLOR").is_none();
    if is_coloured { print(coloured(&text::lines_of(difference)).as_bytes()) } else { show(difference) }
}

fn coloured(difference: &str) -> String {
    let colour = |(number, line): (usize, &str)| match line.as_bytes().first() {
        _ if number < 2 => Some("1"),
        Some(b'-') => Some("31"),
        Some(b'+') => Some("32"),
        Some(b'@') => Some("36"),
        _ => None,
    };
    let lines = difference.lines().enumerate();
    lines
        .map(|line| colour(line).map_or(format!("{}\n", line.1), |colour| format!("\x1b[{colour}m{}\x1b[m\n", line.1)))
        .collect()
}
