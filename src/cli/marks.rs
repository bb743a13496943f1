//! Stops and locks, told to people and to those who count: for `kvx`, and for `kvexpress`.

use super::{Came, Ended, end};
use crate::context::Context;
use crate::operator::lock::{self, LockOptions, Unlocked};
use crate::operator::stop::{self, StopOrder};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, RunResult};

pub(super) fn stop(order: &StopOrder, metrics: &Metrics, context: &Context) -> Ended {
    let done = stop::stop(order, context).map_err(|error| error.of(&order.key));
    let begun = context.outcome(Direction::Stop, &order.site.prefix).on(Some(&order.key), None);
    let came = done.map(|stopped| Came {
        is_news: true,
        line: format!("{}: {stopped}", order.key),
        outcome: begun.clone().with_result(RunResult::Stopped).with_reason(&stopped.reason),
        difference: None,
    });
    end(came, begun, metrics, context)
}

pub(super) fn lock(order: &lock::LockOrder, manner: &LockOptions, metrics: &Metrics, context: &Context) -> Ended {
    let file = order.file.display();
    let done = lock::lock(order, manner, context).map_err(|error| error.of(&file));
    let begun = context.outcome(Direction::Lock, &order.site.prefix).on(Some(order.path(context)), Some(&order.file));
    let came = done.map(|locked| Came {
        is_news: true,
        line: format!("{file}: {locked}"),
        outcome: begun.clone().with_result(RunResult::Locked).with_reason(&locked.reason),
        difference: None,
    });
    end(came, begun, metrics, context)
}

/// Also what the file was, if it is unlocked now.
pub(super) fn unlock(order: &lock::LockOrder, metrics: &Metrics, context: &Context) -> (Ended, Option<Unlocked>) {
    let file = order.file.display();
    let begun = |context: &Context| {
        context.outcome(Direction::Unlock, &order.site.prefix).on(Some(order.path(context)), Some(&order.file))
    };
    match lock::unlock(order, context).map_err(|error| error.of(&file)) {
        Ok(unlocked) => {
            let outcome = begun(context).with_result(RunResult::Unlocked);
            let came = Came { is_news: true, line: format!("{file}: {unlocked}"), outcome, difference: None };
            (end(Ok(came), begun(context), metrics, context), Some(unlocked))
        }
        Err(error) => (end(Err(error), begun(context), metrics, context), None),
    }
}
