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

/// Runs `kvx-out`: installs a document as a file. `arguments` come after the program's name.
pub fn kvx_out(program: &str, arguments: Vec<OsString>) -> ExitCode {
    install(program, arguments, Ok)
}

/// Runs `kvx raw`, which is `kvx-out` with the path of a value as `-k`.
pub(super) fn kvx_raw(arguments: Vec<OsString>) -> ExitCode {
    install("kvx raw", arguments, KvxOutArgs::into_raw)
}

fn install(program: &str, arguments: Vec<OsString>, interpret: fn(KvxOutArgs) -> Result<KvxOutArgs>) -> ExitCode {
    run::<KvxOutArgs>(program, arguments, |options, command, context| {
        let metrics = options.run_metrics()?;
        let order = interpret(options)?.order(command, context)?;
        Ok(download(&order, &metrics, context).exit_code())
    })
}

/// Installs a document, logs it and emits metrics.
pub(super) fn download(order: &DownloadOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let DownloadRun { subject, result } = download::run(order, context);
    let direction = if matches!(subject, Some(Subject::Value(_))) { Direction::Raw } else { Direction::Out };
    let begun = context.outcome(direction, &order.source.prefix).on(subject, order.target.to.file());
    conclude(result.as_ref(), begun, metrics, context)
}
