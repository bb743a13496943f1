//! The command line of `kvx diff`.

use std::path::PathBuf;

use crate::cli::args::options::site_options;
use crate::cli::args::values;
use crate::error::{Result, Status};
use crate::input::Input;
use crate::layout::keys::Key;
use crate::layout::version::VersionQuery;
use crate::operator::diff::{DiffOrder, Sides};

site_options! {
    /// Show how a file or a version differs from the document in Consul.
    #[argh(
        help_triggers("-h", "--help"),
        note = "The format is that of diff -u, with colours on a terminal unless NO_COLOR is
set: from the document in Consul to the file; or from a version to another
one, or to the document in Consul. kvx history lists the versions.",
        note = "How Consul is found: see kvx-in --help.",
        example = "{command_name} -k hosts /etc/hosts.consul
render | {command_name} -k hosts -
{command_name} -k hosts --from -1",
        error_code(0, "they are the same"),
        error_code(1, "they differ"),
        error_code(64, "invalid command line, or several versions are named so"),
        error_code(65, "the file is larger than any document, or a version is damaged"),
        error_code(66, "there is no such key or version, or its document is missing"),
        error_code(69, "Consul cannot be reached"),
        error_code(74, "the file cannot be read"),
        error_code(75, "the pair in Consul is torn"),
        error_code(77, "Consul's ACLs denied it"),
        error_code(78, "invalid configuration: the environment, or a file that it names")
    )]
    pub struct DiffArgs {
        /// the file, or - for stdin
        #[argh(positional, arg_name = "file", from_str_fn(values::path))]
        file: Option<PathBuf>,

        /// name of the document in Consul, such as hosts
        #[argh(option, short = 'k', arg_name = "key", from_str_fn(values::key))]
        key: Key,

        /// compare this version, named as for kvx show --at
        #[argh(option, arg_name = "version", from_str_fn(values::version))]
        from: Option<VersionQuery>,

        /// with this version [default: the document in Consul]
        #[argh(option, arg_name = "version", from_str_fn(values::version))]
        to: Option<VersionQuery>,
    }
}

impl DiffArgs {
    /// # Errors
    /// 64.
    pub fn order(self) -> Result<DiffOrder> {
        let site = self.site();
        let usage = |what: &str| Err(Status::Usage.error(what));
        let sides = match (self.file, self.from, self.to) {
            (Some(file), None, None) => {
                let name = file.display().to_string();
                Sides::File { input: if name == "-" { Input::Stdin } else { Input::File(file) }, name }
            }
            (None, Some(from), to) => Sides::Versions { from, to },
            (Some(_), ..) => return usage("a file is compared with the document in Consul; leave out --from and --to"),
            (None, None, Some(_)) => return usage("--to needs --from, the version to compare with"),
            (None, None, None) => return usage("name a file, or a version with --from"),
        };
        Ok(DiffOrder { key: self.key, sides, site })
    }
}
