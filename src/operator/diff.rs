//! How a file differs from what is in Consul.

use super::Site;
use crate::consul::{Consistency, Folder, Key};
use crate::diff::unified;
use crate::document::LARGEST;
use crate::error::{Result, Status};
use crate::input::Input;
use crate::pair::{Found, Pair};
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
    let mut entries = client.read(Consistency::Default, &[&folder.data, &folder.checksum], &[])?;
    let there = match Pair::take(&mut entries, &folder).judge() {
        Found::Whole(whole) => whole.document,
        Found::Torn(torn) => {
            return Err(Status::TryAgain.error(format!(
                "{} and its checksum in Consul are torn: {}; upload the document again with kvx-in",
                folder.data, torn.why
            )));
        }
        Found::Nothing => {
            return Err(Status::NoSuchKey.error(format!(
                "there is no {} in Consul at {}; check -k and -p",
                folder.data,
                client.server()
            )));
        }
    };
    let from = format!("{} (in Consul)", folder.data);
    Ok(unified((there.bytes(), &from), (&file, &order.name), client.deadline().left()))
}
