//! Stops and locks, told to people and to those who count: for `kvx`, and for `kvexpress`.

use super::{Came, Ended, end};
use crate::context::World;
use crate::operator::lock::{self, Manner, Unlocked};
use crate::operator::stop::{self, Stop};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Ending};

pub(super) fn stop(order: &Stop, metrics: &Metrics, world: &World) -> Ended {
    let done = stop::stop(order, world).map_err(|error| error.of(&order.key));
    let begun = world.summary(Direction::Stop, &order.site.prefix).on(Some(&order.key), None);
    let came = done.map(|stopped| Came {
        is_news: true,
        line: format!("{}: {stopped}", order.key),
        summary: begun.clone().came_to(Ending::Stopped).because(&stopped.reason),
        difference: None,
    });
    end(came, begun, metrics, world)
}

pub(super) fn lock(order: &lock::Order, manner: &Manner, metrics: &Metrics, world: &World) -> Ended {
    let file = order.file.display();
    let done = lock::lock(order, manner, world).map_err(|error| error.of(&file));
    let begun = world.summary(Direction::Lock, &order.site.prefix).on(Some(order.path(world)), Some(&order.file));
    let came = done.map(|locked| Came {
        is_news: true,
        line: format!("{file}: {locked}"),
        summary: begun.clone().came_to(Ending::Locked).because(&locked.reason),
        difference: None,
    });
    end(came, begun, metrics, world)
}

/// Also what the file was, if it is unlocked now.
pub(super) fn unlock(order: &lock::Order, metrics: &Metrics, world: &World) -> (Ended, Option<Unlocked>) {
    let file = order.file.display();
    let begun = |world: &World| {
        world.summary(Direction::Unlock, &order.site.prefix).on(Some(order.path(world)), Some(&order.file))
    };
    match lock::unlock(order, world).map_err(|error| error.of(&file)) {
        Ok(unlocked) => {
            let summary = begun(world).came_to(Ending::Unlocked);
            let came = Came { is_news: true, line: format!("{file}: {unlocked}"), summary, difference: None };
            (end(Ok(came), begun(world), metrics, world), Some(unlocked))
        }
        Err(error) => (end(Err(error), begun(world), metrics, world), None),
    }
}
