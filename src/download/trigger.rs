//! Which key this run is for, and what the watch already knows about it: reads the payload, if there is one.

use std::os::fd::AsFd;

use super::{SourceOrder, Stdin};
use crate::context::Context;
use crate::error::{Result, Status};
use crate::layout::keys::Subject;
use crate::layout::payload::{self, Trigger};
use crate::util::read::{ReadError, bounded};
use crate::util::time::Deadline;

/// Reads the payload, unless stdin is not to be read.
///
/// # Errors
/// 64 to 74, as published.
pub(super) fn read(order: &SourceOrder, context: &Context) -> Result<(Option<Subject>, Trigger)> {
    if order.stdin == Stdin::Untouched {
        return Ok((order.subject.clone(), Trigger::Unknown));
    }
    context.hint_at_terminal("a watch's payload");
    // Values are base64 in the payload, and a keyprefix watch sends all keys of the folder.
    let max_size = order.guards.max_size.saturating_mul(2).saturating_add(1024 * 1024);
    let read = bounded(std::io::stdin().as_fd(), max_size, Deadline::within(order.timeout));
    let text = read.map_err(|error| match error {
        ReadError::TooLarge => Status::Refused.error(format!(
            "the payload on stdin is larger than {max_size} bytes; if that is intended, raise --max-size"
        )),
        ReadError::TooSlow(limit) => Status::CannotRead.error(format!(
            "the payload on stdin has not ended within {}; is this run by a watch? With -k, and without --payload and CONSUL_INDEX, stdin is not read",
            humantime::format_duration(limit)
        )),
        ReadError::Io(cause) => Status::CannotRead.error(format!("the payload on stdin cannot be read: {cause}")),
    })?;
    payload::about(&text, order.subject.as_ref(), &order.prefix)
}
