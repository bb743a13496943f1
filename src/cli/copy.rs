use super::conclude;
use crate::context::Context;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome};
use crate::upload::copy::{self, CopyOrder};

/// Copies a document, logs it and emits metrics.
pub(super) fn copy(order: &CopyOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let done = copy::copy(order, context);
    let begun = context.outcome(Direction::Copy, &order.site.prefix).on(Some(&order.to), None);
    conclude(done.as_ref(), begun, metrics, context)
}
