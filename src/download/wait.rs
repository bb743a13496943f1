//! `--wait`: wait until the key exists, for scripts that run before its first upload or before Consul is up.

use std::time::Duration;

use super::SourceOrder;
use crate::consul::{Client, Endpoint};
use crate::context::Context;
use crate::error::Result;
use crate::layout::keys::Subject;
use crate::layout::snapshot::Location;
use crate::util::time::Deadline;

/// A blocking query that waits until its limit is answered a little later than that.
const SLACK: Duration = Duration::from_secs(1);

/// Waits until the document's checksum exists: kvexpress writes it last.
pub(super) fn for_key(order: &SourceOrder, subject: &Subject, limit: Duration, context: &Context) -> Result<()> {
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
