use super::{Came, Ended, end};
use crate::context::Context;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome, RunResult};
use crate::upload::Mode;
use crate::upload::copy::{self, CopyOrder};

/// A copy, told to people and to those who count.
pub(super) fn copy(order: &CopyOrder, metrics: &Metrics, context: &Context) -> Ended {
    let CopyOrder { from, to, site, .. } = order;
    let done = copy::copy(order, context).map_err(|error| error.of(format_args!("{from} -> {to}")));
    let begun = context.outcome(Direction::Copy, &site.prefix).on(Some(to), None);
    let came = done.map(|report| {
        let outcome = report.outcome(begun.clone());
        let of = |outcome: Outcome| match outcome.result {
            RunResult::Uploaded => outcome.with_reason(&from.to_string()),
            _ => outcome,
        };
        Came {
            is_news: report.is_news(Mode::Upload),
            line: format!("{from} -> {to}: {report}"),
            outcome: of(outcome),
            difference: None,
        }
    });
    end(came, begun, metrics, context)
}
