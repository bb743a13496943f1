//! Reads the document of a key, the current one or an earlier version.

use crate::context::Context;
use crate::document::Verified;
use crate::error::Result;
use crate::layout::keys::{Key, KeyPaths};
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
    let paths = KeyPaths::of(&order.site.prefix, &order.key);
    match &order.at {
        None => Ok(snapshot::verified(&client, paths)?.document),
        Some(query) => part::document(&client, &paths.history, part::find(&client, &paths, query)?),
    }
}
