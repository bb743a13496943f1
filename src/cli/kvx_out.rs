use std::ffi::OsString;
use std::process::ExitCode;

use super::{conclude, run};
use crate::cli::args::kvx_out::KvxOutArgs;
use crate::context::Context;
use crate::download::{self, DownloadOrder, DownloadRun};
use crate::error::Result;
use crate::layout::keys::Subject;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome};

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
        Ok(download(&order, &metrics, context).exit_code())
    })
}

/// A download, logged and counted.
pub(super) fn download(order: &DownloadOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let DownloadRun { subject, result } = download::run(order, context);
    let direction = if matches!(subject, Some(Subject::Value(_))) { Direction::Raw } else { Direction::Out };
    let begun = context.outcome(direction, &order.source.prefix).on(subject, order.target.to.file());
    conclude(result.as_ref(), begun, metrics, context)
}
