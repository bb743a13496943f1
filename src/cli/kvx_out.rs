use std::ffi::OsString;
use std::process::ExitCode;

use super::{Came, Ended, end, run};
use crate::cli::args::kvx_out::KvxOutArgs;
use crate::context::Context;
use crate::download::{self, DownloadOrder};
use crate::error::Result;
use crate::layout::keys::Subject;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::Direction;

/// `kvx-out`: a file out of Consul. The arguments are those after the program's name.
pub fn kvx_out(program: &str, arguments: Vec<OsString>) -> ExitCode {
    install(program, arguments, Ok)
}

/// `kvx raw`: the same, but that `-k` is the path of a value.
pub(super) fn kvx_raw(arguments: Vec<OsString>) -> ExitCode {
    install("kvx raw", arguments, KvxOutArgs::of_a_value)
}

fn install(program: &str, arguments: Vec<OsString>, meant: fn(KvxOutArgs) -> Result<KvxOutArgs>) -> ExitCode {
    run::<KvxOutArgs>(program, arguments, |options, command, context| {
        let metrics = options.told()?;
        let order = meant(options)?.order(command, context)?;
        Ok(download(&order, &metrics, context).status)
    })
}

pub(super) fn download(order: &DownloadOrder, metrics: &Metrics, context: &Context) -> Ended {
    let mut subject = order.subject.clone();
    let done = download::hear(order, context).and_then(|heard| {
        subject.clone_from(&heard.subject);
        download::run(order, heard, context)
    });
    let direction = if matches!(subject, Some(Subject::Value(_))) { Direction::Raw } else { Direction::Out };
    let begun = context.outcome(direction, &order.prefix).on(subject, order.to.file());
    let came = done.map(|report| Came {
        is_news: report.is_news(),
        line: report.to_string(),
        outcome: report.outcome(begun.clone()),
        difference: None,
    });
    end(came, begun, metrics, context)
}
