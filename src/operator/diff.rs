//! Compares a file, or an earlier version, with the document in Consul or with another version.

use crate::consul::{Client, Consistency};
use crate::context::Context;
use crate::document::diff::{Limits, unified};
use crate::document::{LARGEST, Verified};
use crate::error::{Result, Status};
use crate::input::Input;
use crate::layout::keys::{Key, KeyPaths};
use crate::layout::part;
use crate::layout::site::Site;
use crate::layout::snapshot;
use crate::layout::version::{Current, VersionQuery};

/// What to compare.
pub struct DiffOrder {
    /// `-k`.
    pub key: Key,
    /// The two sides.
    pub sides: Sides,
    /// The Consul and the prefix.
    pub site: Site,
}

/// The two sides of a comparison.
pub enum Sides {
    /// From the document in Consul to a file.
    File {
        /// The file or stdin.
        input: Input,
        /// The input's name in the diff's header.
        name: String,
    },
    /// From a version to another one, or to the document in Consul.
    Versions {
        /// `--from`.
        from: VersionQuery,
        /// `--to`.
        to: Option<VersionQuery>,
    },
}

/// A document, and its name in the diff's header.
type Side = (Verified, String);

/// The differences in the format of `diff -u`. Empty if the documents are the same.
///
/// # Errors
/// 65 if the file is larger than any document or a version is damaged, 66 if the key or a version does not exist, 64 if a version
/// is ambiguous, 74 if the file cannot be read, 75 if the pair is torn; 69, 77, 78.
pub fn diff(order: &DiffOrder, context: &Context) -> Result<Vec<u8>> {
    match &order.sides {
        Sides::File { input, name } => {
            let file = read(input, name, order, context)?;
            let client = order.site.client(context)?;
            let (stored, data) = current(&client, order)?;
            Ok(unified((stored.bytes(), &format!("{data} (in Consul)")), (&file, name), limits(&client)))
        }
        Sides::Versions { from, to } => {
            let client = order.site.client(context)?;
            let from = version(&client, order, from)?;
            let to = match to {
                Some(to) => version(&client, order, to)?,
                None => current_version(&client, order)?,
            };
            Ok(unified((from.0.bytes(), &from.1), (to.0.bytes(), &to.1), limits(&client)))
        }
    }
}

fn read(input: &Input, name: &str, order: &DiffOrder, context: &Context) -> Result<Vec<u8>> {
    input.read(LARGEST, order.site.timeout, context).map_err(|error| match error.status() {
        Status::Refused => Status::Refused.error(format!("{name} is larger than any document ({LARGEST} bytes)")),
        _ => error,
    })
}

/// The document in Consul, and the path of its data.
fn current(client: &Client, DiffOrder { key, site, .. }: &DiffOrder) -> Result<Side> {
    let paths = KeyPaths::of(&site.prefix, key);
    let data = paths.data.clone();
    Ok((snapshot::verified(client, paths)?.document, data))
}

/// The document in Consul, named like a version.
fn current_version(client: &Client, order: &DiffOrder) -> Result<Side> {
    let (stored, data) = current(client, order)?;
    let record = KeyPaths::of(&order.site.prefix, &order.key).record;
    let record = client.read(Consistency::Default, &[], &[&record])?.take(&record);
    let time = Current::new(stored.checksum(), record.as_ref()).time;
    let time = time.map(|time| format!("{time}, ")).unwrap_or_default();
    let name = format!("{data} (in Consul, {time}{})", stored.checksum().short());
    Ok((stored, name))
}

fn version(client: &Client, DiffOrder { key, site, .. }: &DiffOrder, query: &VersionQuery) -> Result<Side> {
    let paths = KeyPaths::of(&site.prefix, key);
    let name = part::find(client, &paths, query)?;
    let document = part::document(client, &paths.history, name)?;
    Ok((document, format!("{} ({}, {})", paths.data, name.time, name.checksum.short())))
}

fn limits(client: &Client) -> Limits {
    Limits { time: client.deadline().left(), text: usize::MAX }
}
