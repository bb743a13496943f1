//! The command line of `kvx history`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::error::{Result, Status};
use crate::layout::keys::Key;
use crate::operator::history::HistoryOrder;

site_options! {
    /// List the versions of a key, the newest first.
    #[argh(
        help_triggers("-h", "--help"),
        note = "For each version: when it was uploaded, its checksum, its lines and size, by
whom, and the note. The document that Consul has now is marked with *. If it
is not in the history (kvexpress or kvx-in --keep 0 has uploaded it), it comes
first, and says so. Each document is read and verified: one that is missing or
damaged cannot be restored.",
        note = "kvx show and kvx diff take a version by 4 or more digits of its checksum, by
its time or the start of it, or as -1, -2, ... before the current one. Twice
the same document in a row counts once.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts
{command_name} -k hosts --json",
        error_code(0, "listed"),
        error_code(1, "a version's document is missing or damaged"),
        error_code(64, "invalid command line"),
        error_code(66, "there is no history"),
        error_code(69, "Consul cannot be reached"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct HistoryArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// print JSON
        #[argh(switch)]
        json: bool,

        /// print only what --at accepts, one a line: times, then checksums
        #[argh(switch)]
        names: bool,
    }
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Table,
    /// `--json`.
    Json,
    /// `--names`.
    Names,
}

impl HistoryArgs {
    /// What to print.
    ///
    /// # Errors
    /// 64.
    pub fn output(&self) -> Result<Output> {
        match (self.json, self.names) {
            (false, false) => Ok(Output::Table),
            (true, false) => Ok(Output::Json),
            (false, true) => Ok(Output::Names),
            (true, true) => Err(Status::Usage.error("--json and --names exclude each other")),
        }
    }

    pub fn order(self) -> HistoryOrder {
        HistoryOrder { site: self.site(), key: self.key }
    }
}
