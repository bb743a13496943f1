//! Which keys there are.

use std::collections::BTreeSet;

use crate::consul::{self, Client};
use crate::context::Context;
use crate::error::Result;
use crate::layout::keys::{Key, Prefix};
use crate::layout::site::Site;

/// The keys under the prefix that have a document, half of one, or a stop; in order. What this token may not list is left out,
/// without a word (Consul says none).
///
/// # Errors
/// 69, 77, 78.
pub fn list(site: &Site, context: &Context) -> Result<Vec<Key>> {
    Ok(keys(&site.client(context)?, &site.prefix)?)
}

pub(super) fn keys(client: &Client, prefix: &Prefix) -> consul::Result<Vec<Key>> {
    // Without those whose name is not valid (any more): no run reads or writes them.
    let paths = client.list(&prefix.to_string())?;
    let keys: BTreeSet<Key> = paths.iter().filter_map(|path| prefix.split(path)).map(|(key, _)| key).collect();
    Ok(keys.into_iter().collect())
}
