//! The help, out of the table.

use std::fmt::Write;

use super::PROGRAM;
use super::flags::{FLAGS, Flag};
use super::subcommand::Subcommand;

const INTRODUCTION: &str = "kvexpress's own command lines, understood by kvx: for watches and scripts that
were there before. New ones say kvx-in, kvx-out and kvx, which can do more.
";

const END: &str = "
A value stands behind a blank or =; a switch is alone, or -z=true. Consul's
environment (CONSUL_HTTP_TOKEN and so on) counts where no flag says otherwise,
but for CONSUL_HTTP_ADDR, which kvexpress never heeded: name Consul with -s.
-C: consul_server, token, dogstatsd, dogstatsd_address, datadog_api_key and
datadog_app_key.
What is installed is recorded in STATE_DIRECTORY, /var/lib/kvx (root) or
~/.local/state/kvx, or /tmp/kvx-UID without a home. Where a message names an
option that is not listed here, it is one of kvx-in or kvx-out.

Exit statuses:
  0 done, unchanged, stopped, locked, or nothing there (by a watch's payload)
  1 the command of -e failed
  64 the command line makes no sense
  65 the document is refused: too short, or not what its checksum says
  66 the key is not in Consul
  69 Consul cannot be reached
  73 the file cannot be written
  74 the input cannot be read
  75 try again
  77 Consul's ACLs deny it
  78 the environment, a file it names, -C or -o makes no sense
";

/// Of the program, or of one command.
pub fn text(command: Option<Subcommand>) -> String {
    let mut text = String::new();
    match command {
        None => {
            list(&mut text, format!("Usage: {PROGRAM} <command> [flags]\n\n{INTRODUCTION}\nCommands:"));
            for command in Subcommand::ALL {
                list(&mut text, format!("  {:<7} {}", command.name(), command.about()));
            }
        }
        Some(command) => {
            list(&mut text, format!("Usage: {PROGRAM} {} [flags]\n\n{}\n\nFlags:", command.name(), command.about()));
            for flag in FLAGS.iter().filter(|flag| !flag.is_of_all() && flag.is_of(command)) {
                list(&mut text, line(flag));
            }
        }
    }
    list(&mut text, "\nFlags of every command:".into());
    for flag in FLAGS.iter().filter(|flag| flag.is_of_all()) {
        list(&mut text, line(flag));
    }
    list(&mut text, format!("  -h, --help{:14}print this", ""));
    list(&mut text, format!("  -v, --version{:11}print the version", ""));
    text.push_str(END);
    text
}

/// What `--version` prints.
pub fn version() -> String {
    format!("{:<8} : {} (kvx)\n", "Version", env!("CARGO_PKG_VERSION"))
}

fn line(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".into(), |short| format!("-{short}, "));
    format!("  {short}--{:<18}{}", flag.long, flag.about)
}

/// To write into a String does not fail.
fn list(text: &mut String, line: String) {
    let _ = writeln!(text, "{line}");
}
