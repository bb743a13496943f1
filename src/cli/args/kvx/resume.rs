//! The command line of `kvx resume`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::site::Site;

site_options! {
    /// Let a stopped key go on.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The watches on its checksum fire, so that what was missed arrives. Uploads
that were refused meanwhile do not come by themselves: run kvx-in again.",
        note = "Consul is found as by kvx-in: see kvx-in --help.",
        example = "{command_name} -k hosts",
        error_code(0, "resumed, or not stopped"),
        error_code(64, "the command line makes no sense"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "others were faster every time"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct ResumeArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,
    }
}

impl ResumeArgs {
    /// Which key, and where.
    pub fn order(self) -> (Key, Site) {
        (self.key.clone(), self.site())
    }
}
