//! The help, generated from the table of flags.

use std::fmt::Write;

use super::PROGRAM;
use super::flags::{FLAGS, Flag};
use super::subcommand::Subcommand;

const INTRODUCTION: &str = "Runs kvexpress's command lines, so that existing watches and scripts keep
working. For new ones use kvx-in, kvx-out and kvx, which have more options.
";

const END: &str = "
Write a flag's value after a blank or =. A switch has no value, or one after =:
-z=true. Consul's environment variables (CONSUL_HTTP_TOKEN and so on) apply if
the flag is not given, except CONSUL_HTTP_ADDR, which kvexpress ignores: use -s.
Options in the file of -C: consul_server, token, dogstatsd, dogstatsd_address,
datadog_api_key and datadog_app_key.
State is kept in STATE_DIRECTORY, /var/lib/kvx (root), ~/.local/state/kvx, or
/tmp/kvx-UID for a user without a home directory. If a message names an option
that is not listed here, it is an option of kvx-in or kvx-out.

Exit statuses:
  0 done, unchanged, stopped, locked, or no such key (from a watch's payload)
  1 the command of -e failed
  64 invalid command line
  65 document rejected: too short, or it does not match its checksum
  66 the key does not exist
  69 Consul cannot be reached
  73 the file cannot be written
  74 the input cannot be read
  75 try again
  77 Consul's ACLs deny it
  78 invalid configuration: environment variables and files they name, -C, -o
";

/// The help of the program, or of one command.
pub fn text(command: Option<Subcommand>) -> String {
    let mut text = String::new();
    match command {
        None => {
            push_line(&mut text, format!("Usage: {PROGRAM} <command> [flags]\n\n{INTRODUCTION}\nCommands:"));
            for command in Subcommand::ALL {
                push_line(&mut text, format!("  {:<7} {}", command.name(), command.about()));
            }
        }
        Some(command) => {
            push_line(
                &mut text,
                format!("Usage: {PROGRAM} {} [flags]\n\n{}\n\nFlags:", command.name(), command.about()),
            );
            for flag in FLAGS.iter().filter(|flag| !flag.is_of_all() && flag.is_of(command)) {
                push_line(&mut text, line(flag));
            }
        }
    }
    push_line(&mut text, "\nFlags of every command:".into());
    for flag in FLAGS.iter().filter(|flag| flag.is_of_all()) {
        push_line(&mut text, line(flag));
    }
    push_line(&mut text, format!("  -h, --help{:14}print this", ""));
    push_line(&mut text, format!("  -v, --version{:11}print the version", ""));
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

/// Appends a line. Writing to a String cannot fail.
fn push_line(text: &mut String, line: String) {
    let _ = writeln!(text, "{line}");
}
