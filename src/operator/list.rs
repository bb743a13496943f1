//! Lists the keys under a prefix.

use std::collections::BTreeSet;

use crate::consul::{self, Client, Consistency};
use crate::context::Context;
use crate::error::Result;
use crate::layout::keys::{Key, Part, Prefix};
use crate::layout::site::Site;

/// The keys under the prefix that have a document, half of one, a stop or a hold; sorted. Keys that this token cannot list are missing:
/// Consul leaves them out without saying so.
///
/// # Errors
/// 69, 77, 78.
pub fn list(site: &Site, context: &Context) -> Result<Vec<Key>> {
    Ok(keys(&site.client(context)?, &site.prefix)?)
}

pub(super) fn keys(client: &Client, prefix: &Prefix) -> consul::Result<Vec<Key>> {
    // Invalid names are left out: no run reads or writes such keys.
    let paths = client.list(Consistency::Default, &prefix.to_string())?;
    let parts = paths.iter().filter_map(|path| prefix.split(path)).filter(|(_, part)| *part != Part::Record);
    let keys: BTreeSet<Key> = parts.map(|(key, _)| key).collect();
    Ok(keys.into_iter().collect())
}
