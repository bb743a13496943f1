use std::ffi::OsString;
use std::process::ExitCode;

use super::{conclude, run};
use crate::cli::args::kvx_in::KvxInArgs;
use crate::context::Context;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::outcome::{Direction, Outcome};
use crate::upload::{self, Mode, Terms, UploadOrder};

/// `kvx-in`: a rendered file into Consul. The arguments are those after the program's name.
pub fn kvx_in(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<KvxInArgs>(program, arguments, |options, command, context| {
        let metrics = options.told()?;
        let order = options.order(command)?;
        Ok(upload(&order, &metrics, context).exit_code())
    })
}

/// An upload, logged and counted.
pub(super) fn upload(order: &UploadOrder, metrics: &Metrics, context: &Context) -> Outcome {
    let Terms { key, prefix, mode, .. } = &order.terms;
    let done = upload::run(order, context);
    let begun = context.outcome(Direction::In, prefix).on(Some(key), order.input.file());
    // A dry run is not counted: nothing has succeeded or failed.
    let uncounted = Metrics::default();
    conclude(done.as_ref(), begun, if *mode == Mode::DryRun { &uncounted } else { metrics }, context)
}
