//! Sets stops and locks, logs them and emits metrics, for `kvx` and `kvexpress`.

use super::conclude;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::operator::identity::Identity;
use crate::operator::lock::{self, LockOptions, LockOrder, Unlocked};
use crate::operator::stop::{self, StopOrder};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome};

pub(super) fn stop(order: &StopOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let done = stop::stop(order, context).map_err(|error| error.of(&order.key));
    let begun = context.outcome(Direction::Stop, &order.site.prefix).on(Some(&order.key), None);
    conclude(done.as_ref(), begun, metrics, context)
}

pub(super) fn lock(order: &LockOrder, options: &LockOptions, metrics: &Metrics, context: &Context) -> Outcome {
    let identity = order.identify(context);
    let done =
        identity.as_ref().map_err(Error::clone).and_then(|identity| lock::lock(order, identity, options, context));
    let done = done.map_err(|error| error.of(order.file.display()));
    conclude(done.as_ref(), begun(Direction::Lock, order, &identity, context), metrics, context)
}

/// Also returns what was unlocked, unless that failed.
pub(super) fn unlock(order: &LockOrder, metrics: &Metrics, context: &Context) -> (Outcome, Option<Unlocked>) {
    let identity = order.identify(context);
    let done = identity.as_ref().map_err(Error::clone).and_then(|identity| lock::unlock(order, identity, context));
    let done = done.map_err(|error| error.of(order.file.display()));
    (conclude(done.as_ref(), begun(Direction::Unlock, order, &identity, context), metrics, context), done.ok())
}

fn begun(direction: Direction, order: &LockOrder, identity: &Result<Identity>, context: &Context) -> Outcome {
    let path = identity.as_ref().ok().map(|identity| order.path(identity, context));
    context.outcome(direction, &order.site.prefix).on(path, Some(&order.file))
}
