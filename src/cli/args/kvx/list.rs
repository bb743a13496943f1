//! The command line of `kvx list`.

use crate::cli::args::options::site_options;
use crate::layout::site::Site;

site_options! {
    /// List the keys, one a line.
    #[argh(
        help_triggers("-h", "--help"),
        note = "Those with a document, half of one, or a stop. Keys that the token may not
list are left out; Consul does not tell.",
        note = "Consul is found as by kvx-in: see kvx-in --help.",
        example = "{command_name} | while IFS= read -r key; do kvx status -k \"$key\"; done",
        error_code(0, "listed"),
        error_code(64, "the command line makes no sense"),
        error_code(69, "Consul cannot be reached"),
        error_code(77, "Consul's ACLs deny it"),
        error_code(78, "the environment, or a file it names, makes no sense")
    )]
    pub struct ListArgs {}
}

impl ListArgs {
    /// Where.
    pub fn order(self) -> Site {
        self.site()
    }
}
