//! The command line of `kvx resume`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::site::Site;

site_options! {
    /// Resume a stopped key.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The watches on its checksum fire, so that nodes install what they missed.
Uploads that were refused in the meantime are not repeated: run kvx-in again.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts",
        error_code(0, "resumed, or not stopped"),
        error_code(64, "invalid command line"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "other writers were faster every time"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct ResumeArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,
    }
}

impl ResumeArgs {
    /// The key, and where it is stored.
    pub fn order(self) -> (Key, Site) {
        (self.key.clone(), self.site())
    }
}
