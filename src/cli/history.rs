use std::process::ExitCode;

use super::kvx::exit_code;
use crate::cli::args::kvx::history::{HistoryArgs, Output};
use crate::cli::args::kvx::show::ShowArgs;
use crate::context::{self, Context, print};
use crate::error::Result;
use crate::operator;
use crate::operator::history::{self, VersionState};
use crate::util::text;

/// Runs `kvx history`.
pub(super) fn history(options: HistoryArgs, context: &Context) -> Result<ExitCode> {
    let (output, order) = (options.output()?, options.order());
    let key = order.key.clone();
    let versions = match output {
        Output::Names => {
            let names = history::names(&order, context).map_err(|error| error.of(&key))?;
            let text: String = names.iter().map(|name| format!("{name}\n")).collect();
            return print(text.as_bytes()).map(|()| ExitCode::SUCCESS);
        }
        Output::Table | Output::Json => history::history(&order, context).map_err(|error| error.of(&key))?,
    };
    let text = if output == Output::Json { json(&versions) } else { history::table(&versions) };
    print(text.as_bytes())?;
    Ok(exit_code(versions.iter().all(|version| version.problem.is_none())))
}

/// Runs `kvx show`.
pub(super) fn show(options: ShowArgs, context: &Context) -> Result<ExitCode> {
    let order = options.order();
    let document = operator::show::show(&order, context).map_err(|error| error.of(&order.key))?;
    context::show(document.bytes()).map(|()| ExitCode::SUCCESS)
}

fn json(versions: &[VersionState]) -> String {
    // The versions have only strings, numbers and booleans, so serialization cannot fail.
    let text = serde_json::to_string_pretty(versions).unwrap_or_default();
    format!("{}\n", text::json(&text))
}
