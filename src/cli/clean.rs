use crate::context::Context;
use crate::error::Result;
use crate::operator::clean::{self, CleanOrder};

/// Cleans up after a file, and logs it. No metrics are emitted.
pub(super) fn clean(order: &CleanOrder, context: &Context) -> Result<()> {
    let file = order.file.display();
    let removed = clean::clean(order, context).map_err(|error| error.of(&file))?;
    let names: Vec<String> = removed.iter().map(|path| path.display().to_string()).collect();
    let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
    context.conclude(!removed.is_empty(), || format!("{file}: removed {names}"), None);
    Ok(())
}
