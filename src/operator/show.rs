//! Reads the document of a key, the current one or an earlier version.

use crate::consul::Client;
use crate::context::Context;
use crate::document::Verified;
use crate::error::Result;
use crate::layout::keys::{HistoryPaths, Key, KeyPaths};
use crate::layout::part;
use crate::layout::site::Site;
use crate::layout::snapshot;
use crate::layout::version::VersionQuery;

/// What to show.
pub struct ShowOrder {
    /// `-k`.
    pub key: Key,
    /// `--at`: a version, or the current document.
    pub at: Option<VersionQuery>,
    /// The Consul and the prefix.
    pub site: Site,
}

/// The document.
///
/// # Errors
/// 66 if there is no such key, version or document, 64 if the version is ambiguous, 65 if its document is damaged, 75 if the pair
/// is torn; 69, 77, 78.
pub fn show(order: &ShowOrder, context: &Context) -> Result<Verified> {
    let client = order.site.client(context)?;
    match &order.at {
        None => Ok(snapshot::verified(&client, KeyPaths::of(&order.site.prefix, &order.key))?.document),
        Some(query) => version(&client, order, query),
    }
}

fn version(client: &Client, ShowOrder { key, site, .. }: &ShowOrder, query: &VersionQuery) -> Result<Verified> {
    let name = part::find(client, &site.prefix, key, query)?;
    part::document(client, &HistoryPaths::of(&site.prefix, key), name)
}
