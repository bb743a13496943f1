//! How a file differs from what is in Consul.

use super::{Site, there};
use crate::consul::{Folder, Key};
use crate::diff::unified;
use crate::document::LARGEST;
use crate::error::Result;
use crate::input::Input;
use crate::world::World;

/// What to compare.
pub struct Order {
    /// `-k`.
    pub key: Key,
    /// The file, or stdin.
    pub input: Input,
    /// How it is called.
    pub name: String,
    /// Where.
    pub site: Site,
}

/// From what is in Consul to the file, as `diff -u` writes it; empty where they are the same.
///
/// # Errors
/// 66 where there is no such key, 74 where the file cannot be read, 75 where the pair is torn; 69, 77, 78.
pub fn diff(order: &Order, world: &World) -> Result<String> {
    let file = order.input.read(LARGEST, order.site.timeout, world)?;
    let (client, folder) = (order.site.client(world)?, Folder::of(&order.site.prefix, &order.key));
    let there = there::stored(&client, &folder)?.into_document();
    let from = format!("{} (in Consul)", folder.data);
    Ok(unified((there.bytes(), &from), (&file, &order.name), client.deadline().left()))
}
