//! `--wait`: until the key is there, for scripts that run before anybody has uploaded it, or before Consul is up.

use std::time::Duration;

use super::SourceOrder;
use crate::consul::{Client, Endpoint};
use crate::context::Context;
use crate::error::Result;
use crate::layout::keys::Subject;
use crate::layout::snapshot::Location;
use crate::util::time::Deadline;

/// An answer to a query that waited to the end may come a little later.
const SLACK: Duration = Duration::from_secs(1);

/// Waits for a document's checksum, which kvexpress writes last.
pub(super) fn until_there(order: &SourceOrder, subject: &Subject, limit: Duration, context: &Context) -> Result<()> {
    let patience = Deadline::within(limit);
    let server = Endpoint::from_options(&order.consul, context)?;
    let client = Client::new(server, Deadline::within(limit.saturating_add(SLACK)), order.guards.max_size, context);
    let location = Location::of(subject, &order.prefix);
    if client.await_key(location.last(), patience, order.consistency)? {
        Ok(())
    } else {
        Err(location.absent_after(client.endpoint(), Some(limit)))
    }
}
