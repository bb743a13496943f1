//! From a command line to what is told of it: parse, run, tell, exit. What a binary does is one of these.

mod kvx;
mod kvx_in;
mod kvx_out;

use std::ffi::OsString;
use std::process::ExitCode;

pub use self::kvx::kvx;
pub use self::kvx_in::kvx_in;
pub use self::kvx_out::kvx_out;
use crate::args::{self, Asked, Options};
use crate::error::{Error, Result, Status};
use crate::world::{World, print, tell};

/// What stands behind `--`.
type Command = Option<Vec<OsString>>;

/// Runs a command line, and tells of an error.
fn run<T: Options>(
    program: &str,
    arguments: Vec<OsString>,
    work: impl FnOnce(T, Command, &World) -> Result<ExitCode>,
) -> ExitCode {
    let done = match args::parse::<T>(program, arguments) {
        Ok(Asked::Run(options, command)) => {
            let world = World::of_this_process(options.voice());
            work(options, command, &world)
        }
        Ok(Asked::Print(text)) => print(text.as_bytes()).map(|()| ExitCode::SUCCESS),
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| fail(program, error))
}

/// Tells of it; its status is the program's.
fn fail(program: &str, error: Error) -> ExitCode {
    let error = match error.status() {
        Status::Usage => error.and(&format!("see {program} --help")),
        _ => error,
    };
    tell(&format!("{program}: {error}"));
    ExitCode::from(error.status() as u8)
}
