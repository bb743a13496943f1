//! The command line of `kvx diff`.

use std::path::PathBuf;

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::input::Input;
use crate::layout::keys::Key;
use crate::operator::diff::DiffOrder;

site_options! {
    /// Show how a file differs from the document in Consul.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The format is that of diff -u, from the document in Consul to the file, with
colours on a terminal unless NO_COLOR is set.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts /etc/hosts.consul
render | {command_name} -k hosts -",
        error_code(0, "they are the same"),
        error_code(1, "they differ"),
        error_code(64, "invalid command line"),
        error_code(65, "the file is larger than any document"),
        error_code(66, "there is no such key"),
        error_code(69, "Consul cannot be reached"),
        error_code(74, "the file cannot be read"),
        error_code(75, "the pair in Consul is torn"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct DiffArgs {
        /// the file, or - for stdin
        #[argh(positional, arg_name = "file", from_str_fn(values::path))]
        file: PathBuf,

        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,
    }
}

impl DiffArgs {
    pub fn order(self) -> DiffOrder {
        let (site, name) = (self.site(), self.file.display().to_string());
        let input = if name == "-" { Input::Stdin } else { Input::File(self.file) };
        DiffOrder { key: self.key, input, name, site }
    }
}
