//! `kvx-in`: uploads a document to Consul.

use std::process::ExitCode;

fn main() -> ExitCode {
    kvx::cli::kvx_in("kvx-in", std::env::args_os().skip(1).collect())
}
