use std::ffi::OsString;
use std::process::ExitCode;

use super::{Came, Ended, end, run};
use crate::cli::args::kvx_in::Options;
use crate::context::{World, show};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::Direction;
use crate::upload::{self, Mode, Order, Report, Terms};

/// `kvx-in`: a rendered file into Consul. The arguments are those after the program's name.
pub fn kvx_in(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<Options>(program, arguments, |options, command, world| {
        let metrics = options.told()?;
        let order = options.order(command)?;
        Ok(upload(&order, &metrics, world).status)
    })
}

pub(super) fn upload(order: &Order, metrics: &Metrics, world: &World) -> Ended {
    let Terms { key, prefix, mode, .. } = &order.terms;
    let done = upload::run(order, world).map_err(|error| error.of(key)).and_then(|report| {
        if let Report::WouldUpload(_, difference, ..) = &report {
            show(difference)?;
        }
        Ok(report)
    });
    let begun = world.summary(Direction::In, prefix).on(Some(key), order.input.file());
    let came = done.map(|report| Came {
        is_news: report.is_news(*mode),
        line: format!("{key}: {report}"),
        summary: report.sum_up(begun.clone()),
        difference: report.difference(),
    });
    // A dry run is nobody's success or failure.
    let nobody = Metrics::default();
    end(came, begun, if *mode == Mode::DryRun { &nobody } else { metrics }, world)
}
