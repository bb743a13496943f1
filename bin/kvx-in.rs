//! `kvx-in`: a rendered file into Consul.

use std::process::ExitCode;

use kvx::args::kvx_in::Options;
use kvx::args::{Asked, parse};
use kvx::error::Result;
use kvx::upload::{self, Report};
use kvx::world::{Voice, World, print, tell};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("kvx-in: {error}"));
            ExitCode::from(error.status() as u8)
        }
    }
}

fn run() -> Result<()> {
    let (options, command) = match parse::<Options>("kvx-in", std::env::args_os().skip(1).collect())? {
        Asked::Run(options, command) => (options, command),
        Asked::Print(text) => return print(text.as_bytes()),
    };
    let world = World::of_this_process(options.voice());
    let order = options.order(command)?;
    let report = upload::run(&order, &world).map_err(|error| error.of(&order.key))?;
    if let Report::WouldUpload(_, difference, _) = &report {
        print(difference.as_bytes())?;
    }
    if world.voice == Voice::Verbose || (world.voice == Voice::Normal && report.is_news(order.mode)) {
        tell(&format!("{}: {report}", order.key));
    }
    Ok(())
}
