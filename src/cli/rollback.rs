use std::process::ExitCode;

use super::diff::print_difference;
use crate::cli::args::kvx::rollback::RollbackArgs;
use crate::context::Context;
use crate::error::Result;
use crate::upload;

/// Runs `kvx rollback`.
pub(super) fn rollback(options: RollbackArgs, context: &Context) -> Result<ExitCode> {
    let order = options.order();
    let report = upload::rollback::rollback(&order, context).map_err(|error| error.of(&order.key))?;
    if let Some(difference) = &report.preview {
        print_difference(difference, context)?;
    }
    context.conclude(true, || format!("{}: {report}", order.key), None);
    Ok(ExitCode::SUCCESS)
}
