use std::ffi::OsString;
use std::process::ExitCode;

use super::{Came, Ended, end, run};
use crate::cli::args::kvx_in::KvxInArgs;
use crate::context::{Context, show};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::Direction;
use crate::upload::{self, Mode, Terms, UploadOrder, UploadReport};

/// `kvx-in`: a rendered file into Consul. The arguments are those after the program's name.
pub fn kvx_in(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<KvxInArgs>(program, arguments, |options, command, context| {
        let metrics = options.told()?;
        let order = options.order(command)?;
        Ok(upload(&order, &metrics, context).status)
    })
}

pub(super) fn upload(order: &UploadOrder, metrics: &Metrics, context: &Context) -> Ended {
    let Terms { key, prefix, mode, .. } = &order.terms;
    let done = upload::run(order, context).map_err(|error| error.of(key)).and_then(|report| {
        if let UploadReport::WouldUpload(_, difference, ..) = &report {
            show(difference)?;
        }
        Ok(report)
    });
    let begun = context.outcome(Direction::In, prefix).on(Some(key), order.input.file());
    let came = done.map(|report| Came {
        is_news: report.is_news(*mode),
        line: format!("{key}: {report}"),
        outcome: report.outcome(begun.clone()),
        difference: report.difference(),
    });
    // A dry run is nobody's success or failure.
    let nobody = Metrics::default();
    end(came, begun, if *mode == Mode::DryRun { &nobody } else { metrics }, context)
}
