//! Compares a file with the document in Consul.

use crate::context::Context;
use crate::document::LARGEST;
use crate::document::diff::{Limits, unified};
use crate::error::{Result, Status};
use crate::input::Input;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::site::Site;
use crate::layout::snapshot;

/// What to compare.
pub struct DiffOrder {
    /// `-k`.
    pub key: Key,
    /// The file or stdin.
    pub input: Input,
    /// The input's name in the diff's header.
    pub name: String,
    /// The Consul and the prefix.
    pub site: Site,
}

/// The differences from the document in Consul to the file, in the format of `diff -u`. Empty if they are the same.
///
/// # Errors
/// 65 if the file is larger than any document, 66 if the key does not exist, 74 if the file cannot be read, 75 if the pair is
/// torn; 69, 77, 78.
pub fn diff(order: &DiffOrder, context: &Context) -> Result<Vec<u8>> {
    let file = order.input.read(LARGEST, order.site.timeout, context).map_err(|error| match error.status() {
        Status::Refused => {
            Status::Refused.error(format!("{} is larger than any document ({} bytes)", order.name, LARGEST))
        }
        _ => error,
    })?;
    let (client, paths) = (order.site.client(context)?, KeyPaths::of(&order.site.prefix, &order.key));
    let from = format!("{} (in Consul)", paths.data);
    let stored = snapshot::verified(&client, paths)?.document;
    let limits = Limits { time: client.deadline().left(), text: usize::MAX };
    Ok(unified((stored.bytes(), &from), (&file, &order.name), limits))
}
