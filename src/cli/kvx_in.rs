use std::ffi::OsString;
use std::process::ExitCode;

use super::{conclude, run};
use crate::cli::args::kvx_in::KvxInArgs;
use crate::context::Context;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome};
use crate::upload::{self, Mode, Terms, UploadOrder};

/// Runs `kvx-in`: uploads a document. `arguments` come after the program's name.
pub fn kvx_in(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<KvxInArgs>(program, arguments, |options, command, context| {
        let metrics = options.run_metrics()?;
        let order = options.order(command)?;
        Ok(upload(&order, &metrics, context).exit_code())
    })
}

/// Uploads a document, logs it and emits metrics.
pub(super) fn upload(order: &UploadOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let Terms { key, prefix, mode, .. } = &order.terms;
    let done = upload::run(order, context);
    let begun = context.outcome(Direction::In, prefix).on(Some(key), order.input.file());
    // A dry run emits no metrics: it neither succeeds nor fails.
    let no_metrics = Metrics::default();
    conclude(done.as_ref(), begun, if *mode == Mode::DryRun { &no_metrics } else { metrics }, context)
}
