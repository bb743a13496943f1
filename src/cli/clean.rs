use std::process::ExitCode;

use crate::cli::args::kvx::clean::{CleanArgs, ToClean};
use crate::context::Context;
use crate::error::Result;
use crate::operator::clean::{self, CleanOrder};
use crate::operator::collect;

/// Runs `kvx clean`.
pub(super) fn kvx_clean(options: CleanArgs, context: &Context) -> Result<ExitCode> {
    match options.order()? {
        ToClean::File(order) => clean(&order, context)?,
        ToClean::History(key, site) => {
            let removed = collect::collect(&key, &site, context).map_err(|error| error.of(&key))?;
            let what = match removed {
                0 => "nothing".into(),
                1 => "1 document that no version has".into(),
                n => format!("{n} documents that no version has"),
            };
            context.conclude(removed > 0, || format!("{key}: removed {what} from the history"), None);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Cleans up after a file, and logs it. No metrics are emitted.
pub(super) fn clean(order: &CleanOrder, context: &Context) -> Result<()> {
    let file = order.file.display();
    let removed = clean::clean(order, context).map_err(|error| error.of(&file))?;
    let names: Vec<String> = removed.iter().map(|path| path.display().to_string()).collect();
    let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
    context.conclude(!removed.is_empty(), || format!("{file}: removed {names}"), None);
    Ok(())
}
