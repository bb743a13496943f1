//! `kvx-out`: installs a document from Consul as a file.

use std::process::ExitCode;

fn main() -> ExitCode {
    kvx::cli::kvx_out("kvx-out", std::env::args_os().skip(1).collect())
}
