use std::ffi::OsString;
use std::process::ExitCode;

use super::run;
use crate::args::kvx_out::Options;
use crate::download;

/// `kvx-out`: a file out of Consul. The arguments are those after the program's name.
pub fn kvx_out(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<Options>(program, arguments, |options, command, world| {
        let order = options.order(command, world)?;
        let report = download::run(&order, world)?;
        world.conclude(report.is_news(), || report.to_string());
        Ok(ExitCode::SUCCESS)
    })
}
