//! The command line of `kvx status`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::site::Site;
use crate::operator::status::StatusOrder;

/// Limit for all requests to Consul, if a person waits at a terminal.
const TERMINAL_TIMEOUT: Duration = Duration::from_secs(5);

site_options! {
    /// Show the state of the keys in Consul and of this node's files.
    #[argh(
        help_triggers("-h", "--help"),
        note = "For each key: checksum, size, encoding, the index of its last change, whether
data and checksum match, whether it is stopped and why. The locks of all
nodes. For each file in this node's state: what is installed and since when,
whether Consul has the same, whether mode and owner are as -c and -o say,
whether it is locked, which handlers are pending, and how the last run ended
if it failed. Without Consul, the files are shown all the same; at a terminal,
after 5s.",
        note = "With -k and -f it is a check for monitoring: the file must be installed from
this key, and nothing may be wrong with either.",
        note = "A handler that failed and was then removed from the configuration is listed as
pending until the document changes, or until kvx clean.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name}
{command_name} -k hosts
{command_name} -k hosts -f /etc/hosts.consul --json",
        error_code(0, "nothing is wrong"),
        error_code(1, "a problem: missing, torn, stopped, locked, behind, changed, pending, failed"),
        error_code(64, "invalid command line"),
        error_code(66, "there is nothing to show"),
        error_code(69, "Consul cannot be reached"),
        error_code(74, "the state cannot be read"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct StatusArgs {
        /// only this key, and the files installed from it
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Option<Key>,

        /// only this file, and its key
        #[argh(option, short = 'f', arg_name = "file", from_str_fn(values::file))]
        file: Option<PathBuf>,

        /// print JSON
        #[argh(switch)]
        json: bool,

        /// directory for the state of installed files
        #[argh(option, arg_name = "dir", from_str_fn(values::path))]
        state_dir: Option<PathBuf>,
    }
}

impl StatusArgs {
    /// Whether to print JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The order. At a terminal, the default timeout is shorter.
    pub fn order(self, is_at_terminal: bool) -> StatusOrder {
        let site = self.site();
        let timeout = if is_at_terminal && self.timeout.is_none() { TERMINAL_TIMEOUT } else { site.timeout };
        StatusOrder { key: self.key, file: self.file, state_dir: self.state_dir, site: Site { timeout, ..site } }
    }
}
