//! `--wait`: until the key is there, for scripts that run before anybody has uploaded it, or before Consul is up.

use std::time::Duration;

use super::DownloadOrder;
use crate::consul::{Client, Endpoint};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::layout::keys::{KeyPaths, Subject};
use crate::util::time::Deadline;

/// An answer to a query that waited to the end may come a little later.
const SLACK: Duration = Duration::from_secs(1);

/// Waits for a document's checksum, which kvexpress writes last.
pub(super) fn until_there(order: &DownloadOrder, subject: &Subject, limit: Duration, context: &Context) -> Result<()> {
    let patience = Deadline::within(limit);
    let server = Endpoint::find(&order.consul, context)?;
    let client = Client::new(server, Deadline::within(limit.saturating_add(SLACK)), order.guards.max_size, context);
    let (path, remedy) = match subject {
        Subject::Document(key) => {
            (KeyPaths::of(&order.prefix, key).checksum, "upload it with kvx-in, or check -k and -p")
        }
        Subject::Value(path) => (path.as_str().to_owned(), "put it there, or check --raw, which takes a whole path"),
    };
    if client.await_key(&path, patience, order.consistency)? {
        return Ok(());
    }
    Err(Status::NoSuchKey.error(format!(
        "there was no {path} in Consul at {} within {} (--wait); {remedy}",
        client.server(),
        humantime::format_duration(limit)
    )))
}
