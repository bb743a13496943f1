use std::process::ExitCode;

use super::Ended;
use crate::context::World;
use crate::error::Result;
use crate::operator::clean::{self, Order};
use crate::telemetry::outcome::Ending;

/// Cleaning, told to people; nobody counts it.
pub(super) fn clean(order: &Order, world: &World) -> Result<Ended> {
    let file = order.file.display();
    let gone = clean::clean(order, world).map_err(|error| error.of(&file))?;
    let names: Vec<String> = gone.iter().map(|gone| gone.display().to_string()).collect();
    let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
    world.conclude(!gone.is_empty(), || format!("{file}: removed {names}"), None);
    Ok(Ended { status: ExitCode::SUCCESS, ending: Ending::Unchanged })
}
