use std::ffi::OsString;
use std::process::ExitCode;

use super::run;
use crate::args::kvx_in::Options;
use crate::upload::{self, Report};
use crate::world::print;

/// `kvx-in`: a rendered file into Consul. The arguments are those after the program's name.
pub fn kvx_in(program: &str, arguments: Vec<OsString>) -> ExitCode {
    run::<Options>(program, arguments, |options, command, world| {
        let order = options.order(command)?;
        let report = upload::run(&order, world).map_err(|error| error.of(&order.key))?;
        if let Report::WouldUpload(_, difference, _) = &report {
            print(difference.as_bytes())?;
        }
        world.conclude(report.is_news(order.mode), || format!("{}: {report}", order.key));
        Ok(ExitCode::SUCCESS)
    })
}
