//! The command line of `kvx release`.

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::layout::keys::Key;
use crate::layout::site::Site;

site_options! {
    /// Release a held key.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The watches on its checksum fire, so that nodes install what they missed. It
is an error (75) if Consul has another document than the held one, since every
node would install it.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts",
        error_code(0, "released, or not held"),
        error_code(64, "invalid command line"),
        error_code(65, "the entry is not a hold"),
        error_code(69, "Consul cannot be reached"),
        error_code(75, "Consul has another document, or other writers were faster every time"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct ReleaseArgs {
        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// release it even if Consul has another document
        #[argh(switch)]
        force: bool,
    }
}

impl ReleaseArgs {
    /// The key, whether to release it whatever document Consul has, and where it is stored.
    pub fn order(self) -> (Key, bool, Site) {
        (self.key.clone(), self.force, self.site())
    }
}
