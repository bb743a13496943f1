//! `kvx`, the program for operators. Called as `kvexpress`, it takes kvexpress's command lines.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let arguments = words.collect();
    if Path::new(&name).file_name().is_some_and(|name| name == "kvexpress") {
        kvx::cli::kvexpress(arguments)
    } else {
        kvx::cli::kvx(arguments)
    }
}
