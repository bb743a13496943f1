//! The command line of `kvx list`.

use crate::cli::args::options::site_options;
use crate::layout::site::Site;

site_options! {
    /// List the keys, one a line.
    #[argh(
        help_triggers("-h", "--help"),
        note = "Keys with a document, half of one, or a stop. Keys that the token cannot list
are left out; Consul does not say which.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} | while IFS= read -r key; do kvx status -k \"$key\"; done",
        error_code(0, "listed"),
        error_code(64, "invalid command line"),
        error_code(69, "Consul cannot be reached"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct ListArgs {}
}

impl ListArgs {
    /// The Consul and the prefix.
    pub fn order(self) -> Site {
        self.site()
    }
}
