//! `kvx-out`: a file out of Consul.

use std::process::ExitCode;

use kvx::args::kvx_out::Options;
use kvx::args::{Asked, parse};
use kvx::download;
use kvx::error::Result;
use kvx::world::{Voice, World, print, tell};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("kvx-out: {error}"));
            ExitCode::from(error.status() as u8)
        }
    }
}

fn run() -> Result<()> {
    let (options, command) = match parse::<Options>("kvx-out", std::env::args_os().skip(1).collect())? {
        Asked::Run(options, command) => (options, command),
        Asked::Print(text) => return print(text.as_bytes()),
    };
    let world = World::of_this_process(options.voice());
    let order = options.order(command, &world)?;
    let report = download::run(&order, &world)?;
    if world.voice == Voice::Verbose || (world.voice == Voice::Normal && report.is_news()) {
        tell(&report.to_string());
    }
    Ok(())
}
