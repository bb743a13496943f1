use super::{Came, Ended, end};
use crate::context::World;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Ending, Summary};
use crate::upload::Mode;
use crate::upload::copy::{self, Order};

/// A copy, told to people and to those who count.
pub(super) fn copy(order: &Order, metrics: &Metrics, world: &World) -> Ended {
    let Order { from, to, site, .. } = order;
    let done = copy::copy(order, world).map_err(|error| error.of(format_args!("{from} -> {to}")));
    let begun = world.summary(Direction::Copy, &site.prefix).on(Some(to), None);
    let came = done.map(|report| {
        let summary = report.sum_up(begun.clone());
        let of = |summary: Summary| match summary.ending {
            Ending::Uploaded => summary.because(&from.to_string()),
            _ => summary,
        };
        Came {
            is_news: report.is_news(Mode::Upload),
            line: format!("{from} -> {to}: {report}"),
            summary: of(summary),
            difference: None,
        }
    });
    end(came, begun, metrics, world)
}
