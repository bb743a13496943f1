//! The command line of `kvx show`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::version::VersionQuery;
use crate::operator::show::ShowOrder;

site_options! {
    /// Print the document in Consul, or an earlier version of it.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The document is verified, and printed as it is; at a terminal, control
characters are shown as escapes.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts
{command_name} -k hosts --at -1
{command_name} -k hosts --at 2026-11-27T14:02 > hosts.before",
        error_code(0, "printed"),
        error_code(64, "invalid command line, or several versions are named so"),
        error_code(65, "the version's document is damaged"),
        error_code(66, "there is no such key or version, or its document is missing"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "the pair in Consul is torn"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct ShowArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// a version from kvx history: 4 or more digits of its checksum, the start of its time, or -1, -2, ... before the current one
        #[argh(option, arg_name = "version", from_str_fn(values::version))]
        at: Option<VersionQuery>,
    }
}

impl ShowArgs {
    pub fn order(self) -> ShowOrder {
        ShowOrder { site: self.site(), key: self.key, at: self.at }
    }
}
