//! Sets stops and locks, logs them and emits metrics, for `kvx` and `kvexpress`.

use super::conclude;
use crate::context::Context;
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
    let done = lock::lock(order, options, context).map_err(|error| error.of(order.file.display()));
    conclude(done.as_ref(), begun(Direction::Lock, order, context), metrics, context)
}

/// Also returns what was unlocked, unless that failed.
pub(super) fn unlock(order: &LockOrder, metrics: &Metrics, context: &Context) -> (Outcome, Option<Unlocked>) {
    let done = lock::unlock(order, context).map_err(|error| error.of(order.file.display()));
    (conclude(done.as_ref(), begun(Direction::Unlock, order, context), metrics, context), done.ok())
}

fn begun(direction: Direction, order: &LockOrder, context: &Context) -> Outcome {
    context.outcome(direction, &order.site.prefix).on(Some(order.path(context)), Some(&order.file))
}
