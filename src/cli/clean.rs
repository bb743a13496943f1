use std::process::ExitCode;

use super::Ended;
use crate::context::Context;
use crate::error::Result;
use crate::operator::clean::{self, CleanOrder};
use crate::telemetry::outcome::RunResult;

/// Cleaning, told to people; nobody counts it.
pub(super) fn clean(order: &CleanOrder, context: &Context) -> Result<Ended> {
    let file = order.file.display();
    let gone = clean::clean(order, context).map_err(|error| error.of(&file))?;
    let names: Vec<String> = gone.iter().map(|gone| gone.display().to_string()).collect();
    let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
    context.conclude(!gone.is_empty(), || format!("{file}: removed {names}"), None);
    Ok(Ended { status: ExitCode::SUCCESS, result: RunResult::Unchanged })
}
